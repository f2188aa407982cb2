"""Fixtures of flows: a worker that preprocesses, and a workspace with a release to evaluate and to read with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.infer import infer
from flows.infer_report import InferReport
from flows.train import TrainReport
from lidcflow.config import ClusterConfig, Config
from lidcflow.learn.snapshot import Snapshot
from lidcflow.store.volumes import VolumeStore
from tasks.cluster.open import open_cluster
from tasks.held_out import load_snapshot
from tasks.tracking.connection import Tracking
from tasks.tracking.registry import training_of
from tests.conftest import CtSeries
from tests.trained import REPORT, copy_workspace, training_config, with_release


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """Yield the address of a cluster with one worker that preprocesses, for all tests of whole flows."""
    with open_cluster(ClusterConfig(workers=1), "preprocess") as cluster:
        yield cluster.address


@pytest.fixture(scope="module")
def config(training_folder: Path, training_cluster: str, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Return the settings of a module's own workspace with 16 volumes and a release, and of a worker."""
    workspace = copy_workspace(training_folder, tmp_path_factory.mktemp("trained") / "workspace")
    return training_config(workspace, training_cluster)


@pytest.fixture(scope="module")
def stored(config: Config) -> VolumeStore:
    """Return the store of the 16 volumes."""
    return VolumeStore.of(config)


@pytest.fixture(scope="module")
def trained(training_folder: Path) -> TrainReport:
    """Return the report of the training that made the release."""
    return TrainReport.model_validate_json((training_folder / REPORT).read_text())


@pytest.fixture(scope="module")
def snapshot(config: Config, trained: TrainReport) -> Snapshot:
    """Return what the release was trained on."""
    return load_snapshot(trained.release, config, training_of(Tracking.of(config), trained.release.version))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, ct_series: CtSeries) -> Path:
    """Return a folder of two studies to read, and of a series that can't be."""
    folder = tmp_path_factory.mktemp("inbox")
    for name in ("a", "b"):
        ct_series(folder / name, patient_id="Lovelace")
    ct_series(folder / "short", n=3)
    return folder


@pytest.fixture(scope="module")
def read(config: Config, trained: TrainReport, source: Path) -> InferReport:
    """Return the report of the first inference in the workspace."""
    return infer(str(source), with_release(config, trained.release.version))
