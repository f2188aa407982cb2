"""A workspace with volumes and a release of them: trained once in a run of the tests, copied where it is needed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lidcflow.config import ClusterConfig, Config, InferConfig, PreprocessConfig, SplitConfig, TrainConfig
from tests.labelled_volumes import SIZE, SLICES, store_volumes
from tests.templates import once

WORKSPACE, REPORT = "workspace", "report.json"


@pytest.fixture(scope="session")
def training_cluster() -> Iterator[str]:
    """Yield the address of a cluster with one worker that trains; it loads TensorFlow, which takes seconds."""
    from tasks.cluster.open import open_cluster

    with open_cluster(ClusterConfig(workers=1), "train") as cluster:
        yield cluster.address


def training_config(workspace: Path, address: str) -> Config:
    """Return the settings of trainings on tiny volumes."""
    return Config(
        workspace=workspace,
        patient_key="public",
        preprocess=PreprocessConfig(slices=SLICES, size=SIZE),
        split=SplitConfig(validation=0.3, test=0.2),
        train=TrainConfig(sector_num=2, epochs=3),
        cluster=ClusterConfig(place=address),
    )


@pytest.fixture(scope="session")
def training_folder(training_cluster: str, prefect_server: None) -> Path:
    """Return the folder of a workspace that nobody changes, and of the report of the training in it."""

    def make(folder: Path) -> None:
        from flows.train import train

        config = training_config(folder / WORKSPACE, training_cluster)
        store_volumes(config)
        (folder / REPORT).write_text(train(config).model_dump_json())

    return once("trained", make)


def copy_workspace(training_folder: Path, place: Path) -> Path:
    """Copy the workspace; a copy keeps its own artifacts, and touches no other's."""
    # SQLite makes the index of its log anew; a copied one would be that of another file.
    shutil.copytree(training_folder / WORKSPACE, place, ignore=shutil.ignore_patterns("*-shm"))
    return place


def with_release(config: Config, version: int) -> Config:
    """Return the settings of an inference with a release that is not in force."""
    return config.model_copy(update={"infer": InferConfig(release=str(version))})


def config_file(config: Config, folder: Path) -> Path:
    """Write what a command needs to work on the same workspace and cluster."""
    file = folder / "lidcflow.toml"
    file.write_text(
        f'workspace = "{config.workspace}"\n[preprocess]\nslices = {SLICES}\nsize = {SIZE}\n'
        f'[cluster]\nplace = "{config.cluster.place}"\n'
    )
    return file
