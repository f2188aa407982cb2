"""Detectors in MLflow: logged by the task that trained them, loaded as plain NumPy wherever candidates are read."""

from __future__ import annotations

import warnings
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
import numpy as np
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec

from lidcflow.errors import ReleaseError, WeightsError
from lidcflow.files import digest_of_file
from lidcflow.nodules.detector import CARD_FILE, WEIGHT_FILE, Detector, read_detector
from lidcflow.nodules.patch_shape import PATCH_PIXEL_MM, PATCH_PIXELS, PLANES
from tasks.tracking.artifacts import private_copy
from tasks.tracking.connection import Tracking
from tasks.tracking.model_files import hash_model_files, require_digest
from tasks.tracking.models import LoggedModel
from tasks.tracking.runs import Run

NAME = "detector"

FOLDER = f"artifacts/{NAME}"
"""Where MLflow's pyfunc flavour puts weights and card. The file `MLmodel` could name another place: it is not read."""

CODE = Path(__file__).with_name("detector_model.py")


def detector_model_name(registry_name: str) -> str:
    """Name the registered model of detectors.

    Examples
    --------
    >>> detector_model_name("lidcflow")
    'lidcflow.nodules.detector'
    """
    return f"{registry_name}.nodules.detector"


def log_detector_model(run: Run, tracking: Tracking, folder: Path) -> LoggedModel:
    """Log a detector as a model from code, without a pickle: weights and card are its artifacts.

    Parameters
    ----------
    run : Run
        Of the training.
    tracking : Tracking
        Where MLflow is.
    folder : Path
        With ``detector.npz`` and ``detector.json``.

    Raises
    ------
    ReleaseError
        If the storage returns other weights than it was given.
    """
    # A logged model lands in the experiment that is set for the process, whatever the run's own is.
    mlflow.set_experiment(experiment_id=run.client.get_run(run.run_id).info.experiment_id)
    with TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of hints and examples: the signature says what goes in
        info = Model.log(
            artifact_path=None,
            name=NAME,
            flavor=mlflow.pyfunc,
            python_model=str(CODE),
            artifacts={NAME: str(_copied(folder, Path(scratch) / NAME))},
            signature=_signature(),
            pip_requirements=[f"lidcflow=={version('lidcflow')}"],
            run_id=run.run_id,
        )
    with private_copy(tracking, info.model_uri, f"model {info.model_uri}") as kept:
        if digest_of_file(kept / FOLDER / WEIGHT_FILE) != digest_of_file(folder / WEIGHT_FILE):
            raise ReleaseError(
                f"model {info.model_uri}: the storage must return the weights that it was given, got others; look at "
                "the disk, and run the same command again"
            )
        return LoggedModel(info.model_uri, info.model_id, run.run_id, hash_model_files(kept))


def _copied(folder: Path, place: Path) -> Path:
    """Copy weights and card: a kept detector has other files beside them."""
    place.mkdir()
    for name in (WEIGHT_FILE, CARD_FILE):
        (place / name).write_bytes((folder / name).read_bytes())
    return place


def _signature() -> ModelSignature:
    patches = (-1, len(PATCH_PIXEL_MM), len(PLANES), PATCH_PIXELS, PATCH_PIXELS)
    inputs: list[ColSpec | TensorSpec] = [
        TensorSpec(np.dtype("int16"), patches, "patches"),
        TensorSpec(np.dtype("float32"), (-1,), "score"),
    ]
    return ModelSignature(Schema(inputs), Schema([TensorSpec(np.dtype("float64"), (-1,))]))


def load_detector(tracking: Tracking, name: str, version: int, sha256: str) -> Detector:
    """Load a registered detector; it needs no TensorFlow, and runs no code that lies in the registry.

    Parameters
    ----------
    tracking : Tracking
        Where MLflow is.
    name : str
        The registered model.
    version : int
        Its version.
    sha256 : str
        Of all its files, as a release pins it.

    Raises
    ------
    ReleaseError
        If it is gone, has changed, or is no detector.
    """
    uri = f"models:/{name}/{version}"
    with private_copy(tracking, uri, f"model {uri}") as folder:
        require_digest(folder, sha256, uri)
        try:
            return read_detector(folder / FOLDER)
        except WeightsError as error:
            raise ReleaseError(f"model {uri}: must be a detector, got files that are none; {error}") from None
