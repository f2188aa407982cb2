"""A sector's model, from features to figures."""

from types import SimpleNamespace

import numpy as np
import pytest

from lidcflow.config import SplitConfig, TrainConfig
from lidcflow.learn.dataset import build_snapshot
from lidcflow.learn.feature_source import FeatureSource
from lidcflow.learn.figures import telling_rows
from lidcflow.learn.training import gather, train_sector

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

    features = gather(rows, telling_features)

    np.testing.assert_array_equal(features[:, 0], rows["slice"])


def test_training_is_balanced_and_validation_keeps_the_natural_prevalence(trained):
    assert trained.training.non_nodule == trained.training.benign == trained.training.malignant
    assert trained.validation_confusion.sum(axis=1).tolist() == [len(trained.validation_rows) // 3] * 3


def test_the_calibrated_model_ranks_what_is_easy(trained):
    assert trained.validation["auroc_nodule"].value == 1.0
    assert trained.test["auroc_malignant"].value == 1.0
    assert len(trained.history["val_loss"]) == 20


def test_the_slices_worth_a_look_are_nodules_at_both_ends_and_the_likeliest_others(trained):
    kinds = telling_rows(trained.validation_rows, 3)

    found, missed, called = kinds.values()
    assert (found["label"] > 0).all()
    assert (missed["label"] > 0).all()
    assert (called["label"] == 0).all()
    assert found["p_nodule"].min() >= missed["p_nodule"].max()
    assert [len(rows) for rows in kinds.values()] == [3, 3, 3]
