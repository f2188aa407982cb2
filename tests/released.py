"""A release of tiny volumes that new studies can be read with, trained once for all tests that ask for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from lidcflow.config import ClusterConfig, Config, PreprocessConfig, SplitConfig, TrackingConfig, TrainConfig
from lidcflow.labels.lidc import lidc_scans, nodules_of

PATIENTS = 16


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory, prefect_server: None) -> Iterator[Config]:
    """Give what `release_in` gives."""
    with release_in(tmp_path_factory.mktemp("released")) as config:
        yield config


@contextmanager
def release_in(workspace: Path) -> Iterator[Config]:
    """Give the configuration of a workspace whose champion reads 8 slices of 32 x 32, and a worker.

    With another workspace it stays the champion: the tracking server is named.
    """
    from tasks.cluster.open import open_cluster

    with open_cluster(ClusterConfig(workers=1), "train") as cluster:
        config = Config(
            workspace=workspace,
            patient_key="public",
            preprocess=PreprocessConfig(slices=8, size=32),
            split=SplitConfig(validation=0.3, test=0.2),
            train=TrainConfig(sector_num=2, epochs=2),
            cluster=ClusterConfig(place=cluster.address),
        )
        _release(config)  # before the server is named: MLflow would put artifacts into the working folder
        yield config.model_copy(update={"tracking": TrackingConfig(uri=config.tracking_uri)})


def _release(config: Config) -> None:
    from flows.train import train
    from lidcflow.store.volumes import VolumeStore
    from tasks.promote import promote
    from tasks.tracking.connection import Tracking
    from tests.flows.test_learning import annotated_series, volume_of

    store, rng = VolumeStore.of(config, create=True), np.random.default_rng(0)
    for scan in [scan for scan in lidc_scans() if nodules_of(scan)][:PATIENTS]:
        store.write(annotated_series(scan), volume_of(scan, rng))
    made = train(config)
    if not made.champion:
        promote(Tracking.of(config), made.release.version, force=True, reason="the only one")
