"""Keep pydicom from logging what it reads."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator

from pydicom import config as pydicom_config


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep pydicom's warnings out of sight: they repeat values and paths, which may be a patient's."""
    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with pydicom_config.disable_value_validation(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
