"""Runs of a training: parameters, curves, figures, the snapshot, the models."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunStatus, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import (
    MLFLOW_DATASET_CONTEXT,
    MLFLOW_PARENT_RUN_ID,
    MLFLOW_RUN_NOTE,
    MLFLOW_SOURCE_NAME,
)

from tasks.tracking.connection import Tracking, connect, experiment_id, tracking_connection

BATCH, MOST_PARAMS = 900, 100
"""MLflow takes at most 1000 metrics and 100 parameters in one call. A call is 6 ms of CPU and a write to the disk."""

COMPRESSION = 2
"""PNG compression of figures, 0 to 9: half the time of Pillow's default 6, for a tenth more bytes."""

DATASET_DIGEST_LENGTH = 12
"""MLflow takes 36; people read this many, and files are named by them."""


@dataclass(frozen=True)
class Run:
    """An open MLflow run."""

    client: MlflowClient
    run_id: str

    def params(self, params: Mapping[str, Any]) -> None:
        """Log parameters; None is left out."""
        entries = [Param(key, str(value)) for key, value in params.items() if value is not None]
        for start in range(0, len(entries), MOST_PARAMS):
            self.client.log_batch(self.run_id, params=entries[start : start + MOST_PARAMS])

    def metrics(self, metrics: Mapping[str, float | None], step: int = 0) -> None:
        """Log figures of one step; None and NaN are left out."""
        self.series({key: {step: value} for key, value in metrics.items()})

    def series(self, series: Mapping[str, Mapping[int, float | None]]) -> None:
        """Log figures by name and step, synchronously: asynchronous logging loses points."""
        now_ms = int(time.time() * 1000)
        entries = [
            Metric(key, float(value), now_ms, step)
            for key, steps in series.items()
            for step, value in steps.items()
            if value is not None and np.isfinite(value)
        ]
        for start in range(0, len(entries), BATCH):
            self.client.log_batch(self.run_id, metrics=entries[start : start + BATCH])

    def tags(self, tags: Mapping[str, str]) -> None:
        """Set tags."""
        if tags:
            self.client.log_batch(self.run_id, tags=[RunTag(key, value) for key, value in tags.items()])

    def figure(self, figure: Figure, name: str) -> None:
        """Keep a figure as PNG among the artifacts."""
        self.client.log_figure(self.run_id, figure, name, save_kwargs={"pil_kwargs": {"compress_level": COMPRESSION}})

    def text(self, text: str, name: str) -> None:
        """Keep a text file among the artifacts."""
        self.client.log_text(self.run_id, text, name)

    def fetch(self, name: str, folder: Path) -> Path | None:
        """Copy a file of the artifacts into a folder; None where there is none of that name."""
        try:
            return Path(self.client.download_artifacts(self.run_id, name, str(folder)))
        except (MlflowException, OSError):
            return None

    def dataset(self, path: Path, *, name: str, digest: str, profile: Mapping[str, int]) -> None:
        """Keep a data set's file among the artifacts and log it as the input of the run.

        Parameters
        ----------
        path : Path
            The file.
        name, digest : str
            What it is called and the hash of its content.
        profile : mapping of str to int
            Counts that people see beside it.
        """
        self.client.log_artifact(self.run_id, str(path), name)
        uri = f"{self.client.get_run(self.run_id).info.artifact_uri}/{name}/{path.name}"
        self._input(name, digest, uri, profile)

    def reads(self, path: Path, *, name: str, digest: str, profile: Mapping[str, int]) -> None:
        """Log a data set as the input of the run, without a copy of its file; parameters as of `dataset`."""
        self._input(name, digest, path.absolute().as_uri(), profile)

    def _input(self, name: str, digest: str, uri: str, profile: Mapping[str, int]) -> None:
        """Log an input as MLflow's page shows it: what it is called, its counts, and that it is trained on."""
        dataset = Dataset(
            name=name,
            digest=digest[:DATASET_DIGEST_LENGTH],
            source_type="local",
            source=json.dumps({"uri": uri}),
            profile=json.dumps(dict(profile)),
        )
        context = InputTag(MLFLOW_DATASET_CONTEXT, "training")
        self.client.log_inputs(self.run_id, [DatasetInput(dataset=dataset, tags=[context])])


def run_of(tracking: Tracking, run_id: str) -> Run:
    """Return a run that another process opened, to log on."""
    return Run(connect(tracking), run_id)


@contextmanager
def open_run(
    tracking: Tracking,
    name: str,
    *,
    parent_id: str | None = None,
    note: str = "",
    tags: Mapping[str, str] | None = None,
) -> Iterator[Run]:
    """Open a run for as long as the block lasts; it ends as finished or, after an exception, as failed.

    Raises
    ------
    TrackingAway
        If the server does not answer, or goes away meanwhile.
    """
    with tracking_connection(tracking) as client:
        run_id = start_run(tracking, name, parent_id=parent_id, note=note, tags=tags)
        try:
            yield Run(client, run_id)
        except BaseException as error:
            end_run(tracking, run_id, error)
            raise
        end_run(tracking, run_id)


def start_run(
    tracking: Tracking,
    name: str,
    *,
    parent_id: str | None = None,
    note: str = "",
    tags: Mapping[str, str] | None = None,
) -> str:
    """Start a run that lasts until `end_run`, and return its id."""
    own = {MLFLOW_SOURCE_NAME: "lidcflow train", **(tags or {})}
    own |= {MLFLOW_PARENT_RUN_ID: parent_id} if parent_id else {}
    own |= {MLFLOW_RUN_NOTE: note} if note else {}
    return str(connect(tracking).create_run(experiment_id(tracking), run_name=name, tags=own).info.run_id)


def resume_run(tracking: Tracking, run_id: str) -> bool:
    """Continue an interrupted run, without its half-finished child runs; return whether it is there."""
    client = connect(tracking)
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False
    if run.info.lifecycle_stage != "active":
        return False
    client.update_run(run_id, status=RunStatus.to_string(RunStatus.RUNNING))
    if "error" in run.data.tags:
        client.delete_tag(run_id, "error")
    below = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{run_id}' and attributes.status = 'RUNNING'"
    for half in client.search_runs([run.info.experiment_id], below):
        client.delete_run(half.info.run_id)
    return True


def end_run(tracking: Tracking, run_id: str, error: BaseException | None = None) -> None:
    """End a run as finished or, with its error, as failed; an error of its server is suppressed then."""
    client = connect(tracking)
    if error is None:
        client.set_terminated(run_id, "FINISHED")
        return
    with suppress(MlflowException):
        client.set_tag(run_id, "error", f"{type(error).__name__}: {error}"[:500])
        client.set_terminated(run_id, "FAILED")


def runs_tagged(tracking: Tracking, tags: Mapping[str, str]) -> list[Run]:
    """Return the runs that carry tags, newest first."""
    client = connect(tracking)
    wanted = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
    found = client.search_runs([experiment_id(tracking)], wanted)
    return [Run(client, run.info.run_id) for run in found]
