"""Which patients are trained on: a hash decides, so that new patients never move old ones."""

from __future__ import annotations

import hashlib
from typing import Literal

from lidcflow.config import SplitConfig

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def split_of(patient_key: str, config: SplitConfig) -> Split:
    """Return the split of a patient.

    The test share lies lowest: changing the validation share moves no patient into the test set or out of it.

    Parameters
    ----------
    patient_key : str
        From `lidcflow.privacy.hash_patient_id`.
    config : SplitConfig
        Seed, and the shares of validation and test.

    Examples
    --------
    >>> split_of("cb120ad193263e76", SplitConfig())
    'train'
    """
    place = _unit_interval(f"{config.seed}:{patient_key}")
    if place < config.test:
        return "test"
    return "validation" if place < config.test + config.validation else "train"


def _unit_interval(text: str) -> float:
    """Hash a text to [0, 1)."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48
