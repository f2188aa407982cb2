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


def fold_of(patient_key: str, folds: int, seed: int) -> int:
    """Return the fold, from 0, in which a patient is a test patient.

    Patients that come later move none of the others, as with `split_of`, on which it does not depend.

    Parameters
    ----------
    patient_key : str
        From `lidcflow.privacy.hash_patient_id`.
    folds : int
        How many there are.
    seed : int
        Seed of the splits.

    Examples
    --------
    >>> fold_of("cb120ad193263e76", 5, 0)
    2
    """
    return int(folds * _unit_interval(f"{seed}:fold:{patient_key}"))


def split_in_fold(patient_key: str, fold: int, folds: int, seed: int) -> Split:
    """Return the split of a patient in one fold: every patient is test once, validation once, else training.

    Parameters
    ----------
    patient_key : str
        As for `fold_of`.
    fold : int
        From 0.
    folds, seed : int
        As for `fold_of`.
    """
    own = fold_of(patient_key, folds, seed)
    if own == fold:
        return "test"
    return "validation" if own == (fold + 1) % folds else "train"


def member_for(patient_key: str, split: Split, folds: int, seed: int) -> int:
    """Return the fold, from 0, in which a patient is in `split`: validation or test.

    Parameters
    ----------
    patient_key, folds, seed
        As for `fold_of`.
    split : "validation" or "test"
        Its model was not trained on the patient.
    """
    own = fold_of(patient_key, folds, seed)
    return own if split == "test" else (own - 1) % folds


def _unit_interval(text: str) -> float:
    """Hash a text to [0, 1)."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48
