"""Copy a registered model into a private folder, without MLflow where the model lies in a folder of this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from tasks.tracking.direct import NOT_READ, model_folder
from tasks.tracking.place import Tracking
from tasks.tracking.plain_copy import copy_plain


@contextmanager
def model_copy(tracking: Tracking, uri: str) -> Iterator[Path]:
    """Yield a folder with a copy of a model's files, which nobody else can change.

    Parameters
    ----------
    tracking : Tracking
        Where MLflow is.
    uri : str
        ``models:/name/version``, or of a logged model.

    Raises
    ------
    ReleaseError
        If the model is gone, or holds links, devices, names that lead out of it, or too much.
    TrackingUnavailable
        If the MLflow server does not answer.
    """
    with tempfile.TemporaryDirectory(prefix="lidcflow-model-") as folder:
        if _is_copied(tracking, uri, Path(folder)):
            yield Path(folder)
            return
    with import_module("tasks.tracking.artifacts").private_copy(tracking, uri, f"model {uri}") as copied:
        yield copied


def _is_copied(tracking: Tracking, uri: str, folder: Path) -> bool:
    """Copy a model that lies in a folder of this machine; whatever is wrong is for MLflow to find out."""
    try:
        copy_plain(model_folder(tracking, uri), folder)
    except NOT_READ:
        return False
    return True
