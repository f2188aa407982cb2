"""The one way from a `.keras` file to a network: plain layers, plain arrays, nothing that runs or leads elsewhere.

Keras' safe mode refuses lambdas, but a file may still name any class and function that Keras exports, some of which
read other files, and sizes that fill the memory. Importing this module imports Keras.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from lidcflow.errors import ReleaseError
from lidcflow.learn.arithmetic import numpy_head
from lidcflow.learn.network_check import CLASSES, check_network
from lidcflow.learn.runtime import keras


def load_network(file: Path, name: str, classes: frozenset[str] = CLASSES) -> Any:
    """Load a network in Keras' safe mode from a file that holds nothing but one.

    Parameters
    ----------
    file : Path
        A `.keras` file that nobody else can change meanwhile.
    name : str
        What to call it in errors.

    classes : frozenset of str
        Layers, and what they are made with, that its network may name.

    Returns
    -------
    keras.Model
        Not compiled.

    Raises
    ------
    ReleaseError
        If the file is no such file, or its network is not made of the layers of `lidcflow.learn.network_check` and of
        arrays that it holds itself.
    """
    try:
        check_network(file, classes)
        return keras.saving.load_model(file, compile=False, safe_mode=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, zipfile.BadZipFile) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise ReleaseError(
            f"{name}: must be a network of plain layers in Keras' own format, got {reason}; put the file back from a "
            "copy, or train again"
        ) from None


def load_head(file: Path, name: str) -> Any:
    """Load a network as `load_network` does, as arithmetic where it is a head: see `numpy_head`."""
    return numpy_head(load_network(file, name))
