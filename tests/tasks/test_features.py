"""Features of tiny volumes, computed on a worker."""

import numpy as np
import pytest
import zarr

from lidcflow.errors import TrainingError
from lidcflow.labels.lidc import lidc_scans
from lidcflow.learn.backbones import backbone_id
from lidcflow.learn.engines import feature_error
from lidcflow.store.volumes import VolumeStore
from tasks.features import compute_features
from tests.labelled_volumes import SIZE, annotated_series, blotched, store_volumes, volume_of
from tests.trained import training_config

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def config(tmp_path, training_cluster):
    return training_config(tmp_path, training_cluster)


def test_a_series_without_voxels_is_told_and_costs_the_others_nothing(config, tmp_path):
    scans = lidc_scans()[:3]
    store = store_volumes(config, scans)
    broken, *whole = [scan.series_instance_uid for scan in scans]
    next((tmp_path / "store" / "series" / broken / "0").rglob("c/0/0/0/0")).write_bytes(b"cut")
    in_pairs = config.model_copy(update={"cluster": config.cluster.model_copy(update={"feature_batch": 2})})
    feature_id = backbone_id(config.train, SIZE)

    with pytest.raises(TrainingError, match=rf"every one of 3 series .* but 1 failed twice, as {broken}"):
        compute_features.fn([broken, *whole], feature_id, in_pairs, config.cluster.place)

    assert [uid for uid in store.series_uids() if store.feature_ids(uid) == [feature_id]] == sorted(whole)


def test_features_in_another_precision_lie_beside_those_in_fp32(config, tmp_path):
    other = config.model_copy(update={"train": config.train.model_copy(update={"precision": "bf16"})})
    store, scan = VolumeStore.of(config, create=True), lidc_scans()[0]
    store.write(annotated_series(scan), blotched(volume_of(scan, np.random.default_rng(0))))
    uid, plain, named = scan.series_instance_uid, backbone_id(config.train, SIZE), backbone_id(other.train, SIZE)

    computed = [
        compute_features.fn([uid], feature_id, of, config.cluster.place)
        for feature_id, of in ((plain, config), (named, other))
    ]

    assert (computed, store.feature_ids(uid)) == ([1, 1], sorted([plain, named]))
    assert 0 < feature_error(store.read_features(uid, named), store.read_features(uid, plain)) < 0.1
    kept = zarr.open_array(f"{config.store_root}/series/{uid}/features/{named}", mode="r")
    assert 0 < kept.attrs["engine_error"] < 0.1
