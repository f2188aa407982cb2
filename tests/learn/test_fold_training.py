"""The models of folds joined: averaged when they answer, measured each on the patients it did not see."""

from types import SimpleNamespace

import numpy as np
import pytest

from lidcflow.config import SplitConfig, TrainConfig
from lidcflow.learn.features import FeatureSource
from lidcflow.learn.fold_training import join_folds
from lidcflow.learn.folds import fold_snapshots
from lidcflow.learn.snapshot import build_snapshot
from lidcflow.learn.train import find_sector, keep_sector, train_sector

FOLDS = 3
LABELS = np.array([0, 1, 2, 0], dtype=np.int8)


def features_of(uid):
    """Features that tell the class, with noise of the series."""
    noise = np.random.default_rng(int(uid.rpartition(".")[2])).normal(0, 0.5, (4, 5))
    return (np.eye(5)[LABELS] + noise).astype(np.float16)


@pytest.fixture(scope="module")
def joined():
    records = [
        SimpleNamespace(series_instance_uid=f"1.2.{i}", patient_key=f"{i:04d}", volume_digest="d") for i in range(30)
    ]
    snapshot = build_snapshot(records, {record.series_instance_uid: LABELS for record in records}, SplitConfig())
    snapshots = list(fold_snapshots(snapshot, FOLDS, 0))
    config, slices = TrainConfig(epochs=3), range(4)
    members = [train_sector(of_fold, slices, FeatureSource(features_of), config, 1) for of_fold in snapshots]
    return members, join_folds(members, snapshots, slices, features_of, config, 1)


def test_the_joined_model_averages_the_members(joined):
    members, ensemble = joined
    x = features_of("1.2.99").astype(np.float32)

    np.testing.assert_allclose(ensemble.model(x), np.mean([one.model(x) for one in members], axis=0), atol=1e-6)


def test_every_slice_is_measured_by_the_one_member_whose_validation_slice_it_is(joined):
    members, ensemble = joined

    rows = ensemble.validation_rows
    assert len(rows) == 30 * len(LABELS)
    assert not rows.index.has_duplicates
    own = members[0].validation_rows
    np.testing.assert_allclose(rows.loc[own.index, "p_nodule"], own["p_nodule"], atol=1e-6)
    assert ensemble.validation_confusion.sum() == len(rows)


def test_it_was_trained_on_all_slices_and_is_kept_and_found_like_any_other(joined, tmp_path):
    _, ensemble = joined

    keep_sector(ensemble, tmp_path / "sector")

    assert ensemble.training.total == 30 * len(LABELS)
    assert find_sector(tmp_path / "sector").test == ensemble.test
