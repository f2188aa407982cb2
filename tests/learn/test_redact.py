"""Rows of erased series leave a snapshot; what is left says who else was in, and is not trained on again."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lidcflow.config import SplitConfig
from lidcflow.errors import TrainingError
from lidcflow.learn.redact import owners_in, redact, share_of, snapshot_files
from lidcflow.learn.snapshot import Snapshot, build_snapshot

LABELS = np.array([0, 1, 2], dtype=np.int8)


@pytest.fixture
def file(tmp_path):
    """The file of a snapshot of 30 series of 15 patients."""
    volumes = [
        SimpleNamespace(series_instance_uid=f"1.2.{number}", patient_key=f"key {number % 15}", volume_digest="d")
        for number in range(30)
    ]
    folder = tmp_path / "snapshots"
    folder.mkdir()
    snapshot = build_snapshot(volumes, {volume.series_instance_uid: LABELS for volume in volumes}, SplitConfig())
    snapshot.save(folder / "ab.parquet")
    return folder / "ab.parquet"


def test_the_share_of_series_is_counted_with_the_splits_that_they_are_in(file, tmp_path):
    uids = sorted(uid for uid, _, key in owners_in(file) if key == "key 4")

    share = share_of(file, uids)

    assert uids == ["1.2.19", "1.2.4"]
    assert (share.series, share.patients, len(share.splits)) == (2, 1, 1)
    assert share_of(file, ["1.2.99"]).series == 0
    assert snapshot_files(tmp_path) == [file]


def test_a_snapshot_without_rows_keeps_its_digest_and_is_not_trained_on(file):
    digest = Snapshot.load(file).digest

    redact(file, ["1.2.4", "1.2.19"], "2026-11-24")
    redact(file, ["1.2.4", "1.2.19"], "2026-11-24")

    left = pd.read_parquet(file)
    assert left["series_instance_uid"].nunique() == 28
    assert left.attrs["digest"] == digest
    with pytest.raises(TrainingError, match="must hold all of its series, but 2 were erased on 2026-11-24; train"):
        Snapshot.load(file)
    assert [path.name for path in file.parent.iterdir()] == ["ab.parquet"]


def test_what_a_training_says_of_nodules_goes_with_their_series(file):
    table = pd.read_parquet(file)
    table.attrs["training"] = {"digest": "d", "nodules": {"1.2.4": [[2, [3]]], "1.2.5": [[1, [0]]]}}
    table.to_parquet(file, index=False)

    redact(file, ["1.2.4"], "2026-11-24")

    assert pd.read_parquet(file).attrs["training"]["nodules"] == {"1.2.5": [[1, [0]]]}


def test_in_a_cross_validation_every_patient_was_trained_on(file):
    table = pd.read_parquet(file)
    table.attrs["training"] = {"digest": "d", "nodules": {}, "settings": {"train": {"folds": 5}}}
    table.to_parquet(file, index=False)

    assert share_of(file, ["1.2.4"]).splits == {"train", "validation", "test"}
