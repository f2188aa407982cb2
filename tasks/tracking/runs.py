"""Runs of a training: parameters, curves, figures, the snapshot, the models."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NOTE, MLFLOW_SOURCE_NAME

from tasks.tracking.connection import Tracking, connect, experiment_id

BATCH = 900
"""MLflow takes at most 1000 metrics and 100 parameters in one call."""

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
        self.client.log_batch(self.run_id, params=entries)

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
        for key, value in tags.items():
            self.client.set_tag(self.run_id, key, value)

    def figure(self, figure: Figure, name: str) -> None:
        """Keep a figure as PNG among the artifacts."""
        self.client.log_figure(self.run_id, figure, name)

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
        dataset = Dataset(
            name=name,
            digest=digest[:DATASET_DIGEST_LENGTH],
            source_type="local",
            source=json.dumps({"uri": uri}),
            profile=json.dumps(dict(profile)),
        )
        self.client.log_inputs(self.run_id, [DatasetInput(dataset=dataset, tags=[])])


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
    """Open a run for as long as the block lasts; it ends as finished or, after an exception, as failed."""
    client = connect(tracking)
    own = {MLFLOW_SOURCE_NAME: "lidcflow train", **(tags or {})}
    own |= {MLFLOW_PARENT_RUN_ID: parent_id} if parent_id else {}
    own |= {MLFLOW_RUN_NOTE: note} if note else {}
    run_id = client.create_run(experiment_id(tracking), run_name=name, tags=own).info.run_id
    try:
        yield Run(client, run_id)
    except BaseException as error:
        client.set_tag(run_id, "error", f"{type(error).__name__}: {error}"[:500])
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")
