"""The profile of a release: its training series as they measure, and its scores on the patients held out.

Small enough for a JSON file beside the release. Patients are numbered: no key of theirs is in it.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from lidcflow.drift.measures import NUMBERS, WORDS, Measured
from lidcflow.release.record import ReleaseRecord
from lidcflow.stats.estimate import Record

SCHEMA_VERSION: Literal["lidcflow.profile/1"] = "lidcflow.profile/1"
MOST_PATIENTS = 500
"""Training patients that a profile holds; more make it larger and its limits no better."""


class Packed(Record):
    """An array in JSON: little-endian float16 or float32 in base64, at a third of the size of its numbers."""

    shape: tuple[int, ...]
    dtype: Literal["<f2", "<f4"]
    data: str

    @classmethod
    def of(cls, array: NDArray[np.floating], dtype: Literal["<f2", "<f4"]) -> Packed:
        """Pack an array."""
        packed = np.ascontiguousarray(array, dtype=dtype)
        return cls(shape=packed.shape, dtype=dtype, data=b64encode(packed.tobytes()).decode("ascii"))

    @property
    def array(self) -> NDArray[np.float64]:
        """The numbers again."""
        return np.frombuffer(b64decode(self.data), self.dtype).reshape(self.shape).astype(np.float64)


class Profile(Record):
    """Profile of a release's training data and scores, as far as series are compared with it.

    Parameters
    ----------
    release, version : str, int
        Of the release.
    patients : tuple of int
        For each training series its patient, from 0.
    numbers, words : dict
        Of each key of `NUMBERS` and `WORDS`, one value for each training series.
    hu : Packed
        (series, bins), their HU histograms.
    features : Packed
        (series, d), their features, averaged over the slices.
    heights : Packed, optional
        (series, 2, 10), lung and bone along their height; profiles of earlier versions have none.
    held_out_patients : tuple of int
        For each validation series its patient, from 0.
    scores : Packed
        (validation series, slices), calibrated P(nodule).
    malignant : Packed, optional
        (validation series,), the highest P(malignant) of a slice; profiles of earlier versions have none.
    """

    schema_version: Literal["lidcflow.profile/1"] = SCHEMA_VERSION
    release: str
    version: int
    synthetic: bool
    patients: tuple[int, ...]
    numbers: dict[str, tuple[float | None, ...]]
    words: dict[str, tuple[str | None, ...]]
    hu: Packed
    features: Packed
    heights: Packed | None = None
    held_out_patients: tuple[int, ...]
    scores: Packed
    malignant: Packed | None = None

    @model_validator(mode="after")
    def _holds_every_series_everywhere(self) -> Profile:
        lengths = {len(values) for values in (*self.numbers.values(), *self.words.values())}
        lengths |= {one.shape[0] for one in (self.hu, self.features, self.heights) if one is not None}
        held_out = {one.shape[0] for one in (self.scores, self.malignant) if one is not None}
        if lengths != {len(self.patients)} or held_out != {len(self.held_out_patients)}:
            raise ValueError("profile: each quantity must have one value for each series")
        return self


def profile_of(
    release: ReleaseRecord,
    training: Sequence[tuple[str, Measured, NDArray[np.floating]]],
    held_out: Sequence[str],
    scores: NDArray[np.floating],
    malignant: NDArray[np.floating] | None = None,
) -> Profile:
    """Put the profile of a release together.

    Parameters
    ----------
    release : ReleaseRecord
        The release.
    training : sequence of (patient key, Measured, (d,) array)
        Each training series with its features, averaged over the slices.
    held_out : sequence of str
        Patient key of each validation series.
    scores : (validation series, slices) array
        Calibrated P(nodule).
    malignant : (validation series,) array, optional
        The highest P(malignant) of a slice.
    """
    measured = [one for _, one, _ in training]
    return Profile(
        release=release.name,
        version=release.version,
        synthetic=release.synthetic,
        patients=_numbered([key for key, _, _ in training]),
        numbers={key: tuple(one.numbers[key] for one in measured) for key in NUMBERS},
        words={key: tuple(one.words[key] for one in measured) for key in WORDS},
        hu=Packed.of(np.stack([one.hu for one in measured]), "<f4"),
        features=Packed.of(np.stack([features for _, _, features in training]), "<f2"),
        heights=Packed.of(np.stack([one.heights for one in measured]), "<f2"),
        held_out_patients=_numbered(held_out),
        scores=Packed.of(scores, "<f4"),
        malignant=None if malignant is None else Packed.of(malignant, "<f4"),
    )


def _numbered(keys: Sequence[str]) -> tuple[int, ...]:
    """Number patients in order of appearance."""
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return tuple(numbers[key] for key in keys)
