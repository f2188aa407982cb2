"""Systems that say what findings are, in MLflow: segmenters and malignancy systems of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec

from lidcflow.nodules.cubes import CUBE_VOXELS
from lidcflow.nodules.malignancy import read_malignancy
from lidcflow.nodules.segmenter import read_segmenter
from lidcflow.nodules.weight_files import MALIGNANCY, SEGMENTER
from tasks.tracking.detectors import DETECTORS
from tasks.tracking.weights import WeightsModel

CUBE_SHAPE = (-1, *[CUBE_VOXELS] * 3)


def system_model_name(registry_name: str, kind: str) -> str:
    """Name the registered model of a kind of system.

    Examples
    --------
    >>> system_model_name("lidcflow", "nodulex")
    'lidcflow.nodules.nodulex'
    """
    return f"{registry_name}.nodules.{kind}"


def _inputs() -> list[ColSpec | TensorSpec]:
    return [
        TensorSpec(np.dtype("int16"), CUBE_SHAPE, "cubes"),
        TensorSpec(np.dtype("float64"), (-1,), "voxel_mm"),
    ]


def _outline_signature() -> ModelSignature:
    return ModelSignature(Schema(_inputs()), Schema([TensorSpec(np.dtype("float32"), CUBE_SHAPE)]))


def _malignancy_signature() -> ModelSignature:
    inputs = [*_inputs(), TensorSpec(np.dtype("float64"), (-1,), "diameter_mm")]
    return ModelSignature(Schema(inputs), Schema([TensorSpec(np.dtype("float64"), (-1,))]))


SEGMENTERS = WeightsModel(SEGMENTER, read_segmenter, Path(__file__).with_name("segmenter_model.py"), _outline_signature)
MALIGNANCIES = WeightsModel(
    MALIGNANCY, read_malignancy, Path(__file__).with_name("malignancy_model.py"), _malignancy_signature
)

WEIGHTS_MODELS: dict[str, WeightsModel[Any]] = {one.files.stem: one for one in (DETECTORS, SEGMENTERS, MALIGNANCIES)}
"""Every kind of model that is weights with a card, by the stem of its files."""
