"""A sector's model, from features to figures."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lidcflow.config import SplitConfig, TrainConfig
from lidcflow.learn import train
from lidcflow.learn.features import FeatureSource
from lidcflow.learn.heads import build_head, calibrated_model
from lidcflow.learn.snapshot import build_snapshot
from lidcflow.learn.train import (
    DIGEST,
    FACTS,
    MODEL,
    ROWS,
    TrainedSector,
    features_of_rows,
    find_sector,
    keep_sector,
    train_sector,
)
from lidcflow.stats.calibration import Calibration
from lidcflow.stats.estimate import ClassCounts, Estimate
from lidcflow.stats.plots import example_rows

SLICES = 9


@pytest.fixture(scope="module")
def snapshot():
    """Thirty patients, each with slices of all classes in the lower two thirds."""
    records = [
        SimpleNamespace(series_instance_uid=f"1.2.{i}", patient_key=f"{i:04d}", volume_digest="d") for i in range(30)
    ]
    labels = {record.series_instance_uid: np.array([0, 0, 0, 0, 1, 2, 0, 1, 2], dtype=np.int8) for record in records}
    return build_snapshot(records, labels, SplitConfig())


def telling_features(uid):
    """Features that hold the slice's number, and its class."""
    features = np.zeros((SLICES, 5), dtype=np.float16)
    features[:, 0] = np.arange(1, SLICES + 1)
    features[np.arange(SLICES), np.array([1, 1, 1, 1, 2, 3, 1, 2, 3])] = 1
    return features


@pytest.fixture(scope="module")
def trained(snapshot):
    config = TrainConfig(epochs=20, learning_rate=0.05, balance="equal")
    return train_sector(snapshot, range(3, 9), FeatureSource(telling_features), config, seed=0)


def test_features_are_gathered_in_the_order_of_the_rows(snapshot):
    rows = snapshot.table.sample(40, random_state=0)

    features = features_of_rows(rows, telling_features)

    np.testing.assert_array_equal(features[:, 0], rows["slice"])


def test_training_is_balanced_and_validation_keeps_the_natural_prevalence(trained):
    assert trained.training.non_nodule == trained.training.benign == trained.training.malignant
    assert trained.validation_confusion.sum(axis=1).tolist() == [len(trained.validation_rows) // 3] * 3


def test_the_calibrated_model_ranks_what_is_easy(trained):
    assert trained.validation["auroc_nodule"].value == 1.0
    assert trained.test["auroc_malignant"].value == 1.0
    assert len(trained.history["val_loss"]) == 20


def test_the_slices_worth_a_look_are_nodules_at_both_ends_and_the_likeliest_others(trained):
    kinds = example_rows(trained.validation_rows, 3)

    found, missed, called = kinds.values()
    assert (found["label"] > 0).all()
    assert (missed["label"] > 0).all()
    assert (called["label"] == 0).all()
    assert found["p_nodule"].min() >= missed["p_nodule"].max()
    assert [len(rows) for rows in kinds.values()] == [3, 3, 3]


@pytest.fixture(scope="module")
def kept_sector():
    calibration = Calibration(0.1 + 0.2, (0.1, 1 / 3, -2.0))
    features = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    return TrainedSector(
        model=calibrated_model(build_head("mlp", features, seed=3), calibration),
        calibration=calibration,
        history={"loss": [1 / 3, 0.1 + 0.2]},
        best_epoch=1,
        remark="",
        training=ClassCounts(non_nodule=3, benign=2, malignant=1),
        validation={"auroc_nodule": Estimate(value=2 / 3)},
        test={"auroc_nodule": Estimate(value=None)},
        validation_rows=pd.DataFrame({"label": [0, 1], "p_nodule": np.float32([0.1, 0.2])}, index=[4, 7]),
        validation_confusion=np.eye(3, dtype=np.int64),
    )


def test_a_trained_sector_comes_back_bit_for_bit(kept_sector, tmp_path):
    keep_sector(kept_sector, tmp_path / "sector-01")

    found = find_sector(tmp_path / "sector-01")

    for ours, theirs in zip(found.model.get_weights(), kept_sector.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for name in ("calibration", "history", "best_epoch", "training", "validation", "test"):
        assert getattr(found, name) == getattr(kept_sector, name)
    pd.testing.assert_frame_equal(found.validation_rows, kept_sector.validation_rows)
    np.testing.assert_array_equal(found.validation_confusion, kept_sector.validation_confusion)


def test_a_sector_that_was_kept_twice_lies_there_once(kept_sector, tmp_path):
    keep_sector(kept_sector, tmp_path / "sector-01")
    keep_sector(kept_sector, tmp_path / "sector-01")

    assert [entry.name for entry in tmp_path.iterdir()] == ["sector-01"]


@pytest.mark.parametrize("file", [FACTS, MODEL, ROWS, DIGEST])
def test_a_sector_that_is_damaged_is_trained_again(kept_sector, tmp_path, file):
    keep_sector(kept_sector, tmp_path / "sector-01")
    (tmp_path / "sector-01" / file).write_bytes(b"cut")

    assert find_sector(tmp_path / "sector-01") is None


def test_a_sector_of_another_version_is_trained_again(kept_sector, tmp_path, monkeypatch):
    keep_sector(kept_sector, tmp_path / "sector-01")
    monkeypatch.setattr(train, "installed_version", lambda _package: "0.0.1")

    assert find_sector(tmp_path / "sector-01") is None


def test_what_is_not_there_is_not_found(tmp_path):
    assert find_sector(tmp_path / "sector-01") is None


@pytest.mark.parametrize("file", [FACTS, MODEL, ROWS])
def test_a_sector_with_a_flipped_byte_is_trained_again(kept_sector, tmp_path, file):
    keep_sector(kept_sector, tmp_path / "sector-01")
    content = bytearray((tmp_path / "sector-01" / file).read_bytes())
    content[len(content) // 2] ^= 0x01
    (tmp_path / "sector-01" / file).write_bytes(bytes(content))

    assert find_sector(tmp_path / "sector-01") is None
