"""Load registered models that are weights with a card; MLflow is imported only where it has to fetch them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from lidcflow.errors import ReleaseError, WeightsError
from lidcflow.nodules.detector import read_detector
from lidcflow.nodules.malignancy import read_malignancy
from lidcflow.nodules.segmenter import read_segmenter
from lidcflow.nodules.weight_files import DETECTOR, MALIGNANCY, SEGMENTER, WeightFiles
from lidcflow.release.pins import ModelPin
from tasks.tracking.model_copy import model_copy
from tasks.tracking.model_files import require_digest
from tasks.tracking.place import Tracking

Loaded = TypeVar("Loaded")

READERS: dict[str, Callable[[Path], Any]] = {
    DETECTOR.stem: read_detector,
    SEGMENTER.stem: read_segmenter,
    MALIGNANCY.stem: read_malignancy,
}
"""Readers of each kind of model from a folder, by the stem of its files."""


def weights_folder(files: WeightFiles) -> str:
    """Return where MLflow's pyfunc flavour puts weights and card in the folder of a model."""
    return f"artifacts/{files.stem}"


def load_weights(files: WeightFiles, read: Callable[[Path], Loaded], tracking: Tracking, pin: ModelPin) -> Loaded:
    """Load a registered model; it needs no TensorFlow, and runs no code that lies in the registry.

    Parameters
    ----------
    files : WeightFiles
        Names of weights and card.
    read : callable
        Reads a model from a folder with both; raises WeightsError.
    tracking : Tracking
        Where MLflow is.
    pin : ModelPin
        Name and version, and the SHA-256 of all files of the model.

    Raises
    ------
    ReleaseError
        If the model is gone, has changed, or is of another kind.
    """
    uri = f"models:/{pin.name}/{pin.version}"
    with model_copy(tracking, uri) as folder:
        require_digest(folder, pin.sha256, uri)
        try:
            return read(folder / weights_folder(files))
        except WeightsError as error:
            raise ReleaseError(f"model {uri}: must be a {files.model}, got files that are none; {error}") from None
