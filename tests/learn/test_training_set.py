"""One file that fixes a training: sectors, weights, settings, and a digest over them."""

import re
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lidcflow.config import LabelConfig, PreprocessConfig, SplitConfig, TrainConfig
from lidcflow.errors import TrainingError
from lidcflow.labels.slices import NoduleSlices
from lidcflow.learn.snapshot import Snapshot, build_snapshot, sector_rows
from lidcflow.learn.training_set import (
    CandidateFacts,
    TrainingSet,
    TrainingSettings,
    class_weights,
    fix_training_set,
    read_settings,
)

SLICES = 6
LABELS = np.array([0, 0, 0, 1, 2, 0], dtype=np.int8)
"""The upper of two sectors lacks both classes of nodules."""

NODULES = {"1.2.3": [NoduleSlices(frozenset({3, 4}), 2)], "1.2.4": []}


def settings(**train):
    return TrainingSettings(
        created=datetime(2026, 1, 2, tzinfo=UTC),
        lidcflow_version="0.1.0",
        preprocess=PreprocessConfig(slices=8),
        preprocess_digest=PreprocessConfig(slices=8).digest,
        labels=LabelConfig(source="/home/someone/readings"),
        split=SplitConfig(),
        train=TrainConfig(sector_num=2, balance="equal", backbone_weights="/home/someone/weights.npz", **train),
        backbone_id="compact-ab",
        synthetic=True,
    )


@pytest.fixture(scope="module")
def snapshot():
    """Thirty patients with one series each."""
    records = [
        SimpleNamespace(series_instance_uid=f"1.2.{i}", patient_key=f"{i:04d}", volume_digest="d") for i in range(30)
    ]
    return build_snapshot(records, {record.series_instance_uid: LABELS for record in records}, SplitConfig())


@pytest.fixture
def fixed(snapshot):
    return fix_training_set(snapshot, settings(), NODULES)


def test_every_slice_has_its_sector_and_the_weight_at_which_training_counts_it(snapshot, fixed):
    table = pd.concat([snapshot.table, fixed.snapshot.fixed], axis=1)

    kept = table[table["weight_all_sectors"] > 0]
    assert table["sector"].tolist() == [1, 1, 1, 2, 2, 2] * 30
    assert set(kept["split"]) == {"train"}
    assert kept["label"].value_counts().nunique() == 1
    np.testing.assert_array_equal(kept["weight_all_sectors"], class_weights(kept["label"].to_numpy())[kept["label"]])


def test_a_sector_that_lacks_a_class_counts_nothing(fixed):
    upper = fixed.snapshot.fixed[fixed.snapshot.fixed["sector"] == 1]

    assert (upper["weight"] == 0).all()
    assert (upper["weight_all_sectors"] > 0).any()


@pytest.mark.parametrize("slices", [range(SLICES), range(3, 6)])
def test_a_fixed_snapshot_trains_on_its_own_rows_whatever_seed_and_balance_say(snapshot, fixed, slices):
    seed = 1 if len(slices) == SLICES else 2

    balanced = sector_rows(snapshot, slices, "equal", None, seed)

    pd.testing.assert_frame_equal(sector_rows(fixed.snapshot, slices, "none", 1, seed=99), balanced)


def test_a_saved_training_set_comes_back_as_it_was(fixed, tmp_path):
    file = tmp_path / "snapshot.parquet"

    fixed.save(file)
    loaded = TrainingSet.load(file)

    assert (loaded.digest, loaded.settings, loaded.nodules) == (fixed.digest, fixed.settings, fixed.nodules)
    pd.testing.assert_frame_equal(loaded.snapshot.fixed, fixed.snapshot.fixed)
    assert Snapshot.load(file).digest == fixed.snapshot.digest
    assert read_settings(file) == (fixed.digest, fixed.settings)
    assert [entry.name for entry in tmp_path.iterdir()] == ["snapshot.parquet"]


def test_the_file_names_no_path_of_this_machine(fixed, tmp_path):
    fixed.save(tmp_path / "snapshot.parquet")

    assert not re.search(rb"someone|/home", (tmp_path / "snapshot.parquet").read_bytes())


def test_the_digest_is_of_what_decides_the_numbers(snapshot, fixed):
    later = settings().model_copy(update={"created": datetime(2027, 1, 2, tzinfo=UTC), "lidcflow_version": "0.2.0"})

    assert fix_training_set(snapshot, later, NODULES).digest == fixed.digest
    assert fix_training_set(snapshot, settings(learning_rate=0.5), NODULES).digest != fixed.digest
    assert fix_training_set(snapshot, settings(), {}).digest != fixed.digest


@pytest.mark.parametrize("change", ["weight", "settings"])
def test_a_training_set_that_was_changed_is_refused(fixed, tmp_path, change):
    file = tmp_path / "snapshot.parquet"
    fixed.save(file)
    table = pd.read_parquet(file)
    if change == "weight":
        table.loc[table["weight"] > 0, "weight"] = 1.5
    else:
        table.attrs["training"]["settings"]["train"]["learning_rate"] = 0.5

    table.to_parquet(file)

    with pytest.raises(TrainingError, match=r"snapshot\.parquet: must be as it was saved, got digest"):
        TrainingSet.load(file)


def test_a_snapshot_of_slices_alone_does_not_fix_a_training(snapshot, tmp_path):
    snapshot.save(tmp_path / "slices.parquet")

    assert read_settings(tmp_path / "slices.parquet") is None
    with pytest.raises(TrainingError, match="must hold sectors, weights and settings of a training"):
        TrainingSet.load(tmp_path / "slices.parquet")


def test_a_file_cut_short_is_one_sentence(fixed, tmp_path):
    file = tmp_path / "snapshot.parquet"
    fixed.save(file)
    file.write_bytes(file.read_bytes()[:-100])

    assert read_settings(file) is None
    with pytest.raises(TrainingError, match="must be a Parquet file of slices, got one that can't be read"):
        TrainingSet.load(file)


def test_weights_that_this_version_would_not_give_are_refused(fixed):
    fixed.require_same_weights()
    fixed.snapshot.fixed.loc[fixed.snapshot.fixed["weight"] > 0, "weight"] = 1.5

    with pytest.raises(TrainingError, match=r"computes others; train with lidcflow 0\.1\.0, or without --snapshot"):
        fixed.require_same_weights()


def test_the_candidates_of_a_training_are_named_and_decide_and_without_them_the_digest_is_that_of_before(
    snapshot, fixed, tmp_path
):
    facts = CandidateFacts(version=1, series=3, digest="ab")
    found = fix_training_set(snapshot, settings().model_copy(update={"candidates": facts}), NODULES)

    found.save(tmp_path / "snapshot.parquet")

    assert found.digest != fixed.digest
    assert TrainingSet.load(tmp_path / "snapshot.parquet").settings.candidates == facts
    assert "candidates" not in fixed.settings.model_dump()
