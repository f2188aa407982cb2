"""Detectors in MLflow, loaded as plain NumPy wherever candidates are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec

from lidcflow.nodules.detector import read_detector
from lidcflow.nodules.patch_shape import PATCH_PIXEL_MM, PATCH_PIXELS, PLANES
from lidcflow.nodules.weight_files import DETECTOR
from tasks.tracking.weights import WeightsModel


def detector_model_name(registry_name: str) -> str:
    """Name the registered model of detectors.

    Examples
    --------
    >>> detector_model_name("lidcflow")
    'lidcflow.nodules.detector'
    """
    return f"{registry_name}.nodules.detector"


def _signature() -> ModelSignature:
    patches = (-1, len(PATCH_PIXEL_MM), len(PLANES), PATCH_PIXELS, PATCH_PIXELS)
    inputs: list[ColSpec | TensorSpec] = [
        TensorSpec(np.dtype("int16"), patches, "patches"),
        TensorSpec(np.dtype("float32"), (-1,), "score"),
    ]
    return ModelSignature(Schema(inputs), Schema([TensorSpec(np.dtype("float64"), (-1,))]))


DETECTORS = WeightsModel(DETECTOR, read_detector, Path(__file__).with_name("detector_model.py"), _signature)
