"""Files that MLflow needs beside a release's record to load it: a model from code, without a pickle."""

from __future__ import annotations

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec

from tasks.tracking.connection import Tracking, connect
from tasks.tracking.record import RECORD_FOLDER
from tasks.tracking.requirements import installed

LOADER = "tasks.api.registered"
"""Module that MLflow imports to load a release; releases name it, so that it can't be renamed."""

COLUMNS = {
    "series_instance_uid": "string",
    "study_instance_uid": "string",
    "kind": "string",
    "rank": "Int64",
    "slice_number": "Int64",
    "z_mm": "float64",
    "nodule": "float64",
    "malignant": "float64",
    "benign": "float64",
    "non_nodule": "float64",
    "malignancy": "string",
    "instance_number": "Int64",
    "sop_instance_uid": "string",
    "row": "float64",
    "column": "float64",
    "diameter_mm": "float64",
    "long_axis_mm": "float64",
    "short_axis_mm": "float64",
    "volume_mm3": "float64",
    "verdict": "string",
    "reason": "string",
    "warnings": "string",
}
"""Columns of the table that a loaded release returns, with their types in pandas."""

_TYPES = {"string": DataType.string, "Int64": DataType.long, "float64": DataType.double}


def keep_loadable(tracking: Tracking, run_id: str) -> None:
    """Make the folder of a release's record one that `mlflow.pyfunc.load_model` loads.

    Parameters
    ----------
    tracking : Tracking
        Where MLflow is.
    run_id : str
        Of the training that the release came from.
    """
    with TemporaryDirectory() as scratch, warnings.catch_warnings(), installed("lidcflow") as requirements:
        warnings.simplefilter("ignore", UserWarning)  # of examples: paths and volumes are told by the documentation
        folder = Path(scratch) / "model"
        mlflow.pyfunc.save_model(
            str(folder),
            loader_module=LOADER,
            signature=_signature(),
            pip_requirements=requirements,
        )
        connect(tracking).log_artifacts(run_id, str(folder), RECORD_FOLDER)


def uri_of_process() -> str:
    """Return the registry that MLflow reads in this process."""
    return str(mlflow.get_registry_uri())


def _signature() -> ModelSignature:
    """Describe the table and the parameters: what goes in is of several kinds, which a schema can't say."""
    params = [
        ParamSpec("spacing_mm", DataType.double, [], shape=(-1,)),
        ParamSpec("config", DataType.string, ""),
        ParamSpec("workspace", DataType.string, ""),
    ]
    columns: list[ColSpec | TensorSpec] = [
        ColSpec(_TYPES[kind], name, required=False) for name, kind in COLUMNS.items()
    ]
    return ModelSignature(outputs=Schema(columns), params=ParamSchema(params))
