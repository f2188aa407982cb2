"""What is measured of each series: a few numbers and words of its headers, its HU histogram, its mean features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lidcflow.store.record import VolumeRecord
from lidcflow.watch.heights import heights_of

HU_STEP = 20
HU_EDGES = np.append(np.arange(-950, 1000, HU_STEP), 3072).astype(np.float64)
"""Bins of the HU histogram: 20 HU from lung to dense bone, one for the rest. The air around the patient is below: its
share follows the field of view."""

_LOWEST_HU, _HIGHEST_HU = -1024, 3071
_BIN_OF_HU = np.digitize(np.arange(_LOWEST_HU, _HIGHEST_HU + 1), HU_EDGES)
_DIGITS = 3

NUMBERS = {
    "slice_spacing_mm": "slice spacing, mm",
    "slice_thickness_mm": "slice thickness, mm",
    "pixel_spacing_mm": "pixel spacing, mm",
    "field_of_view_mm": "field of view, mm",
    "scan_length_mm": "scan length, mm",
    "kvp": "tube voltage, kV",
}
WORDS = {
    "manufacturer": "manufacturer",
    "model": "model",
    "kernel": "kernel",
    "contrast": "contrast agent",
}


@dataclass(frozen=True, eq=False)
class Measured:
    """One series; a fact that its headers don't tell is None.

    Parameters
    ----------
    numbers : dict
        Of each key of `NUMBERS`.
    words : dict
        Of each key of `WORDS`.
    hu : (bins,) array of float64
        Share of the voxels that are not air in each bin of `HU_EDGES`.
    heights : (2, 10) array of float64
        From `lidcflow.watch.heights`.
    """

    numbers: dict[str, float | None]
    words: dict[str, str | None]
    hu: NDArray[np.float64]
    heights: NDArray[np.float64]


def measure_series(record: VolumeRecord, mean_hu: NDArray[np.int16]) -> Measured:
    """Measure a stored series.

    Parameters
    ----------
    record : VolumeRecord
        What the store knows of it.
    mean_hu : (slices, rows, columns) array of int16
        Channel ``mean`` of its volume.
    """
    told = record.acquisition
    numbers = {
        "slice_spacing_mm": record.slice_spacing_mm,
        "slice_thickness_mm": told.get("slice_thickness_mm"),
        "pixel_spacing_mm": record.column_spacing_mm,
        "field_of_view_mm": record.columns * record.column_spacing_mm,
        "scan_length_mm": record.n_source_slices * record.slice_spacing_mm,
        "kvp": told.get("kvp"),
    }
    return Measured(
        numbers={key: None if value is None else round(float(value), _DIGITS) for key, value in numbers.items()},
        words={key: _word(told.get(key)) for key in WORDS},
        hu=hu_histogram(mean_hu),
        heights=heights_of(mean_hu),
    )


def hu_histogram(mean_hu: NDArray[np.int16]) -> NDArray[np.float64]:
    """Return the share of the voxels that are not air in each bin of `HU_EDGES`; of air alone, all in the first.

    Examples
    --------
    >>> hu_histogram(np.array([[[-1010, -940], [-920, -920]]], dtype=np.int16))[:2].round(2)
    array([0.33, 0.67])
    """
    counts = np.bincount(mean_hu.ravel().astype(np.int64) - _LOWEST_HU, minlength=len(_BIN_OF_HU))
    inside = np.bincount(_BIN_OF_HU, weights=counts)[1:]
    if not inside.sum():
        inside[0] = 1.0
    return np.asarray(inside / inside.sum())


def _word(value: object) -> str | None:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return None if value is None else str(value)


def mean_features(features: NDArray[np.floating]) -> NDArray[np.float32]:
    """Average the features of a series over its slices, and activation maps over their pixels too.

    Parameters
    ----------
    features : (slices, d) or (slices, rows, columns, d) array

    Returns
    -------
    (d,) array of float32

    Examples
    --------
    >>> mean_features(np.array([[1.0, 2.0], [3.0, 6.0]])).tolist()
    [2.0, 4.0]
    """
    averaged: NDArray[np.float32] = features.reshape(-1, features.shape[-1]).mean(axis=0, dtype=np.float32)
    return averaged
