"""Detectors in MLflow: logged by the task that trained them, loaded as plain NumPy wherever candidates are read."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import numpy as np
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec

from importlib.metadata import version

from lidcflow.errors import ReleaseError
from lidcflow.nodules.detector import CARD_FILE, WEIGHT_FILE, Detector, read_detector
from lidcflow.nodules.patches import PATCH_PIXEL_MM, PATCH_PIXELS, PLANES
from tasks.tracking import detector_model
from tasks.tracking.artifacts import private_copy
from tasks.tracking.connection import Tracking
from tasks.tracking.model_files import hash_model_files, require_digest
from tasks.tracking.models import LoggedModel
from tasks.tracking.runs import Run

FOLDER = "artifacts/detector"
"""Where MLflow's pyfunc flavour puts weights and card. The file `MLmodel` could name another place: it is not read."""

NAME = "detector"


def detector_model_name(registry_name: str) -> str:
    """Name the registered model of detectors.

    Examples
    --------
    >>> detector_model_name("lidcflow")
    'lidcflow.nodules.detector'
    """
    return f"{registry_name}.nodules.detector"
