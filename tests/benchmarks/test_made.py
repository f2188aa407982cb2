"""The made-up store of the benchmark is one that the product reads."""

import numpy as np
import pytest

from benchmarks.large.made import config_of, make, patient_of, uid_of
from flows.missing_series import split_current
from lidcflow.learn.backbones import describe_backbone
from lidcflow.store.address import training_store
from lidcflow.store.volumes import VolumeStore
from tasks.labels import label_volumes

SERIES = 12


@pytest.fixture
def config(tmp_path):
    config = config_of(tmp_path / "workspace")
    make(config, SERIES)
    return config


def test_every_series_is_there_with_its_own_names(config):
    store = VolumeStore.of(config)
    records = list(store.records(store.series_uids()))

    assert [record.series_instance_uid for record in records] == [uid_of(number) for number in range(SERIES)]
    assert [record.patient_key for record in records] == [patient_of(number) for number in range(SERIES)]
    assert len({record.volume_digest for record in records}) == SERIES
    assert len({image.sop_instance_uid for record in records for image in record.source_slices}) == SERIES * 200


def test_its_features_count_and_its_voxels_can_be_read(config):
    store = VolumeStore.of(config)
    features = store.read_features(uid_of(3), describe_backbone(config.train, config.preprocess.size).id)

    assert features is not None
    assert store.read_hu(uid_of(3), slice(5, 10)).shape == (2, 5, 16, 16)


def test_its_series_are_labelled_and_current(config):
    from benchmarks.large.made import made_series

    store = VolumeStore.of(config)
    volumes = list(store.summaries(store.series_uids()))
    labelled = label_volumes(volumes, config.labels, store.records)
    current, waiting = split_current([made_series(number) for number in range(SERIES)], training_store(config))

    assert len(labelled.labels) == SERIES
    assert set(np.concatenate(list(labelled.labels.values())).tolist()) == {0, 1, 2}
    assert (len(current), waiting) == (SERIES, [])
