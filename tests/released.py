"""A release of tiny volumes that new studies can be read with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lidcflow.config import ClusterConfig, Config, TrackingConfig
from tests.labelled_volumes import store_volumes
from tests.trained import copy_workspace, training_config


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory, training_folder: Path, training_cluster: str) -> Config:
    """Return what `release_in` gives, in a copy of the workspace that was trained for all tests."""
    workspace = copy_workspace(training_folder, tmp_path_factory.mktemp("released") / "workspace")
    return _in_force(training_config(workspace, training_cluster))


@contextmanager
def release_in(workspace: Path) -> Iterator[Config]:
    """Yield the configuration of a workspace whose champion reads 8 slices of 32 x 32, and a worker.

    With another workspace it stays the champion: the tracking server is named.
    """
    from tasks.cluster.open import open_cluster

    with open_cluster(ClusterConfig(workers=1), "train") as cluster:
        config = training_config(workspace, cluster.address)
        store_volumes(config)
        yield _in_force(config)


def _in_force(config: Config) -> Config:
    """Train, if that has not been done, promote the release, and name the tracking server.

    It is named last: MLflow would put artifacts into the working folder.
    """
    from flows.train import train
    from tasks.promote import promote
    from tasks.tracking.connection import Tracking

    made = train(config)
    if not made.champion:
        promote(Tracking.of(config), made.release.version, force=True, reason="the only one")
    return config.model_copy(update={"tracking": TrackingConfig(uri=config.tracking_uri)})
