"""Sector models in MLflow: logged by the task that trained them, loaded for every sector of a release.

Flows import this module too: Keras is imported where a model is logged or loaded.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec

from lidcflow.errors import ReleaseError
from lidcflow.files import digest_of_file
from lidcflow.release.record import ReleaseRecord
from lidcflow.stats.estimate import Record
from tasks.tracking.artifacts import private_copy
from tasks.tracking.connection import Tracking
from tasks.tracking.model_files import FILE, hash_model_files, require_digest
from tasks.tracking.runs import Run

STANDARDISED, CLASSES = "standardised", 3
"""Name of a head's first layer, and the length of what it returns; `lidcflow.learn.heads` would import Keras."""


@dataclass(frozen=True)
class LoggedModel:
    """A model that a run logged; it may not be registered yet. `sha256` is that of all its files."""

    uri: str
    model_id: str
    run_id: str
    sha256: str


def log_model(run: Run, tracking: Tracking, model: Any, name: str) -> LoggedModel:
    """Log an uncompiled Keras model of one input and one output as `.keras`.

    The native Keras flavour writes no pickle, and the requirements are named: inferring them costs half a minute.

    Raises
    ------
    ReleaseError
        If the storage gives back another network than it was given.
    """
    saved: list[str] = []

    def save_model(path: str, **options: Any) -> None:
        Path(path).mkdir(exist_ok=True)  # MLflow writes the example before it makes the folder
        mlflow.keras.save_model(path=path, **options)  # MLflow imports its flavours where they are first used
        saved.append(digest_of_file(Path(path, FILE)))

    # A logged model lands in the experiment that is set for the process, whatever the run's own is.
    mlflow.set_experiment(experiment_id=run.client.get_run(run.run_id).info.experiment_id)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Operation with range")  # MLflow compares the example's columns to a range
        info = Model.log(
            artifact_path=None,
            name=name,
            flavor=SimpleNamespace(__name__=mlflow.keras.__name__, save_model=save_model),
            model=model,
            signature=_signature(model),
            input_example=_example(model),
            pip_requirements=_requirements(),
            run_id=run.run_id,
        )
    with private_copy(tracking, info.model_uri, f"model {info.model_uri}") as folder:
        if digest_of_file(folder / FILE) != saved[0]:
            raise ReleaseError(
                f"model {info.model_uri}: the storage must give back the file that it was given, SHA-256 {saved[0]}, "
                "got another one; look at the disk, and run the same command again"
            )
        sha256 = hash_model_files(folder)
    return LoggedModel(uri=info.model_uri, model_id=info.model_id, run_id=run.run_id, sha256=sha256)


def load_model(tracking: Tracking, uri: str, sha256: str, *, plain: bool = False) -> Any:
    """Load a logged or registered model, the only way that lidcflow does: its files checked, then in safe mode.

    Parameters
    ----------
    tracking : Tracking
        Where MLflow is.
    uri : str
        Of the model, such as ``models:/lidcflow.05-sectors.sector-03/1``.
    sha256 : str
        Of all its files, as its release pins it; empty for a release from before digests were kept.
    plain : bool
        Whether a head is to be returned as arithmetic, see `lidcflow.learn.arithmetic.numpy_head`.

    Raises
    ------
    ReleaseError
        If it is gone, has changed or is more than a network of plain layers.
    """
    # Keras is for the workers: the flow's process, which imports this module too, stays small.
    from lidcflow.learn.network_file import load_head, load_network

    with private_copy(tracking, uri, f"model {uri}") as folder:
        if sha256:
            require_digest(folder, sha256, uri)
        return (load_head if plain else load_network)(folder / FILE, f"model {uri}")


def _requirements() -> list[str]:
    packages = [package for package in ("keras", "tensorflow", "tensorflow-cpu") if _installed(package)]
    return [f"{package}=={version(package)}" for package in packages]


def _installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def _signature(model: Any) -> ModelSignature:
    """Describe one tensor in and out. Keras would get a named input as a dict, and arrays would be refused."""
    taken, made = ((-1, *side.shape[1:]) for side in (model.inputs[0], model.outputs[0]))
    output = TensorSpec(np.dtype("float32"), made, "probabilities" if made[1:] == (CLASSES,) else None)
    return ModelSignature(inputs=Schema([TensorSpec(np.dtype("float32"), taken)]), outputs=Schema([output]))


def feature_names(features: int) -> list[str]:
    """Name the features of a slice, in their order.

    Examples
    --------
    >>> feature_names(2)
    ['feature_000', 'feature_001']
    """
    return [f"feature_{number:03d}" for number in range(features)]


def _example(model: Any) -> pd.DataFrame | None:
    """Return the features of the average training slice, by their names; None for what takes images or maps."""
    if len(model.inputs[0].shape) != 2:
        return None
    features = int(model.inputs[0].shape[1])
    known = next((layer for layer in model.layers if layer.name == STANDARDISED), None)
    mean = np.zeros(features) if known is None else np.asarray(known.mean)
    return pd.DataFrame(mean.reshape(1, features).astype(np.float32), columns=feature_names(features))


class SectorModel(Record):
    """The model that answers for a sector, its own or another's; slices from 0, `stop` excluded.

    `sha256` is that of its files; empty in a release from before digests were kept.
    """

    start: int
    stop: int
    uri: str
    sha256: str = ""
    own: bool = True

    @property
    def slices(self) -> range:
        """Slices of the sector, from 0."""
        return range(self.start, self.stop)


def sectors_of(release: ReleaseRecord) -> tuple[SectorModel, ...]:
    """Return the registered models that a release pins."""
    return tuple(
        SectorModel(start=pin.slices.start, stop=pin.slices.stop, uri=pin.uri, sha256=pin.sha256, own=not pin.fallback)
        for pin in release.sectors
    )


def load_sectors(models: Sequence[SectorModel], tracking: Tracking) -> list[tuple[range, Any]]:
    """Load the model of each sector, one that answers for several only once."""
    digests = {model.uri: model.sha256 for model in models}
    by_uri = {uri: load_model(tracking, uri, sha256, plain=True) for uri, sha256 in digests.items()}
    return [(model.slices, by_uri[model.uri]) for model in models]
