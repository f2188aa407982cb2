"""Whether the backend of Keras is installed, found out without importing it: before any work, not after an hour."""

from __future__ import annotations

import os
from importlib.util import find_spec

from lidcflow.config import Config
from lidcflow.config.cluster import LOCAL
from lidcflow.errors import EngineError

DEFAULT = "tensorflow"


def require_backend(other_way: str = "") -> None:
    """Raise if this process could not import the backend that Keras is set to.

    Parameters
    ----------
    other_way : str
        What a user can do instead of installing it, as the end of a sentence.

    Raises
    ------
    EngineError
        If it is not installed.
    """
    backend = os.environ.get("KERAS_BACKEND") or DEFAULT
    if find_spec(backend) is None:
        way_out = "pip install 'lidcflow[cpu]' or 'lidcflow[gpu]'" if backend == DEFAULT else f"install {backend}"
        raise EngineError(
            f"Keras: its backend {backend} must be installed to train, to evaluate and to read with sector models, got "
            f"no package of the name; {way_out}{other_way}"
        )


def require_backend_for(config: Config) -> None:
    """Raise as `require_backend`, where the workers that train and read are processes of this machine."""
    if config.cluster.pool("train").place == LOCAL:
        require_backend(", or set cluster.train.place to machines that have it")
