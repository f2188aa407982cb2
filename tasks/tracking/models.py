"""Sector models in MLflow: logged by the task that trained them; `tasks.tracking.sector_models` loads them.

Flows import this module too: Keras is imported where a model is logged.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
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
from tasks.tracking.artifacts import private_copy
from tasks.tracking.connection import Tracking
from tasks.tracking.model_files import FILE, hash_model_files
from tasks.tracking.requirements import installed
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
        options.pop("validate_serving_input")
        mlflow.keras.save_model(path=path, **options)  # MLflow imports its flavours where they are first used
        saved.append(digest_of_file(Path(path, FILE)))

    # A logged model lands in the experiment that is set for the process, whatever the run's own is.
    mlflow.set_experiment(experiment_id=run.client.get_run(run.run_id).info.experiment_id)
    with warnings.catch_warnings(), installed("keras", "tensorflow", "tensorflow-cpu") as requirements:
        warnings.filterwarnings("ignore", "Operation with range")  # MLflow compares the example's columns to a range
        info = Model.log(
            artifact_path=None,
            name=name,
            flavor=SimpleNamespace(__name__=mlflow.keras.__name__, save_model=save_model),
            model=model,
            signature=_signature(model),
            input_example=_example(model),
            pip_requirements=requirements,
            run_id=run.run_id,
            validate_serving_input=False,  # MLflow would load the model for it, a quarter of the logging of a sector
        )
    with private_copy(tracking, info.model_uri, f"model {info.model_uri}") as folder:
        if digest_of_file(folder / FILE) != saved[0]:
            raise ReleaseError(
                f"model {info.model_uri}: the storage must give back the file that it was given, SHA-256 {saved[0]}, "
                "got another one; look at the disk, and run the same command again"
            )
        sha256 = hash_model_files(folder)
    return LoggedModel(uri=info.model_uri, model_id=info.model_id, run_id=run.run_id, sha256=sha256)


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
