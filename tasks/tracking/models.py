"""Sector models in MLflow: logged by the task that trained them, loaded by those that read with them.

Importing this module imports Keras.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import mlflow.keras
import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec

from lidcflow.errors import ReleaseError
from tasks.tracking.connection import Tracking, reaching
from tasks.tracking.runs import Run


@dataclass(frozen=True)
class LoggedModel:
    """A model that a run logged; it may not be registered yet."""

    uri: str
    model_id: str
    run_id: str


def log_model(run: Run, model: Any, name: str) -> LoggedModel:
    """Log an uncompiled Keras model of one input and one output as `.keras`.

    The native Keras flavour writes no pickle, and the requirements are named: inferring them costs half a minute.
    """
    # A logged model lands in the experiment that is set for the process, whatever the run's own is.
    mlflow.set_experiment(experiment_id=run.client.get_run(run.run_id).info.experiment_id)
    info = Model.log(
        artifact_path=None,
        name=name,
        flavor=mlflow.keras,
        model=model,
        signature=_signature(model),
        pip_requirements=_requirements(),
        run_id=run.run_id,
    )
    return LoggedModel(uri=info.model_uri, model_id=info.model_id, run_id=run.run_id)


def load_model(tracking: Tracking, uri: str) -> Any:
    """Load a logged or registered model in Keras' safe mode, which refuses any code in the file.

    Raises
    ------
    ReleaseError
        If it is gone or can't be read.
    """
    try:
        with reaching(tracking):
            return mlflow.keras.load_model(uri, load_model_kwargs={"safe_mode": True})
    except (MlflowException, OSError, ValueError) as error:
        raise ReleaseError(f"model {uri}: must be in the registry and load in safe mode, got {error}") from None


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
    """Describe one unnamed tensor in and out: named ones would reach Keras as a dict."""
    shapes = [(-1, *side.shape[1:]) for side in (model.inputs[0], model.outputs[0])]
    inputs, outputs = (Schema([TensorSpec(np.dtype("float32"), shape)]) for shape in shapes)
    return ModelSignature(inputs=inputs, outputs=outputs)
