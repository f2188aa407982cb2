"""MLflow's storage of runs and models as plain values, which need no MLflow."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lidcflow.config import Config
from lidcflow.store.relocation import DATABASE

EXPERIMENTS = " experiments"
"""Ends the name of the MLflow experiment that holds the runs of `lidcflow experiment`."""


@dataclass(frozen=True)
class Tracking:
    """Access to MLflow for a process; small, so that tasks can carry it.

    Parameters
    ----------
    uri : str
        Tracking and registry URI.
    artifacts : str or None
        ``file:`` URI of a new experiment's artifacts; None where the server decides.
    experiment : str
        Name of the experiment that holds the runs.
    registry_name : str
        Name of the registered release; sector models are named after it.
    """

    uri: str
    artifacts: str | None
    experiment: str
    registry_name: str

    @classmethod
    def of(cls, config: Config) -> Tracking:
        """Return MLflow's settings of a configuration."""
        served = config.tracking_uri.startswith(("http://", "https://"))
        artifacts = None if served else config.mlflow_artifacts.as_uri()  # MLflow's own choice is the working folder
        return cls(config.tracking_uri, artifacts, config.tracking.experiment, config.tracking.registry_name)

    def for_experiments(self) -> Tracking:
        """Return where the runs of experiments go: beside those of trainings, which they would hide.

        Examples
        --------
        >>> Tracking("http://host", None, "lidcflow", "lidcflow").for_experiments().experiment
        'lidcflow experiments'
        """
        return replace(self, experiment=f"{self.experiment}{EXPERIMENTS}")

    @property
    def workspace(self) -> Path | None:
        """Workspace that holds both database and artifacts; None where either is elsewhere."""
        folder = local_path(self.artifacts or "")
        root = folder and folder.parents[1]
        return root if root and self.uri == f"sqlite:///{root / DATABASE}" else None


def local_path(uri: str) -> Path | None:
    """Return the file or folder that a ``file:`` URI or a path names; None for an address elsewhere, or none.

    Examples
    --------
    >>> str(local_path("file:///data/two%20words")), local_path("s3://bucket/key")
    ('/data/two words', None)
    """
    parts = urlsplit(uri)
    if not uri or parts.scheme not in ("", "file"):
        return None
    return Path(unquote(parts.path) if parts.scheme else uri)


def is_there(tracking: Tracking) -> bool:
    """Return whether there is anything to read, so that a look at a new workspace makes no database."""
    file = tracking.uri.removeprefix("sqlite:///")
    return file == tracking.uri or os.path.lexists(file)
