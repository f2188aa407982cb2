"""Every patient is a test patient of one fold, and a validation patient of another."""

from types import SimpleNamespace

import numpy as np
import pytest

from lidcflow.config import SplitConfig
from lidcflow.errors import TrainingError
from lidcflow.learn.folds import fold_snapshots, members_by_series, patients_by_fold, require_folds
from lidcflow.learn.snapshot import build_snapshot

FOLDS, SEED = 5, 0


def snapshot_of(patients, labels=(0, 1, 2)):
    records = [
        SimpleNamespace(series_instance_uid=f"1.2.{i}", patient_key=f"{i // 2:04d}", volume_digest="d")
        for i in range(2 * patients)
    ]
    of_each = {record.series_instance_uid: np.array(labels, dtype=np.int8) for record in records}
    return build_snapshot(records, of_each, SplitConfig())


@pytest.fixture(scope="module")
def snapshot():
    return snapshot_of(40)


def test_every_patient_is_tested_once_validated_once_and_trained_on_otherwise(snapshot):
    tables = [of_fold.table for of_fold in fold_snapshots(snapshot, FOLDS, SEED)]
    by_patient = [table.groupby("patient_key")["split"].unique() for table in tables]

    for key in snapshot.table["patient_key"].unique():
        sides = [str(side) for of_fold in by_patient for side in of_fold[key]]
        assert sorted(sides) == ["test", *["train"] * (FOLDS - 2), "validation"]


def test_the_fold_that_answers_for_a_series_has_its_patient_in_the_split(snapshot):
    folds = list(fold_snapshots(snapshot, FOLDS, SEED))

    for split in ("validation", "test"):
        for uid, member in members_by_series(snapshot, split, FOLDS, SEED).items():
            rows = folds[member].table
            assert set(rows.loc[rows["series_instance_uid"] == uid, "split"]) == {split}


def test_the_slices_of_a_fold_are_those_of_the_snapshot(snapshot):
    first = next(fold_snapshots(snapshot, FOLDS, SEED))

    assert first.table.drop(columns="split").equals(snapshot.table.drop(columns="split"))
    assert (first.digest, first.fixed) == (snapshot.digest, None)


def test_patients_are_counted_by_the_fold_that_tests_them(snapshot):
    counts = patients_by_fold(snapshot.table, FOLDS, SEED)

    assert list(counts) == ["fold 1", "fold 2", "fold 3", "fold 4", "fold 5"]
    assert sum(counts.values()) == 40


def test_without_folds_no_member_answers(snapshot):
    assert members_by_series(snapshot, "test", 0, SEED) == {}


def test_more_folds_than_patients_are_refused_with_a_way_out(snapshot):
    few = snapshot_of(14)

    with pytest.raises(TrainingError, match=r"fold \d+ of 20: .* got 14 patients in all; add series, set fewer folds"):
        require_folds(few, 20, SEED)
    require_folds(snapshot, FOLDS, SEED)
