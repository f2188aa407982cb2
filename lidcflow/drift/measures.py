"""Measures of each series: a few numbers and words of its headers, its HU histogram, its mean features.

The histogram and the mean features of a series are those of its slices in any order, and much the same for a part of a
chest. Along its height lungs begin small under the shoulders' bones and end on the domes of the diaphragm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lidcflow.store.record import VolumeRecord

TENTHS = 10
TISSUES_HU = {"lung": (-950, -600), "bone": (200, 3072)}
"""Lower and upper end of what counts as each; what is below all of them is air."""

LEAST_SPREAD = np.array([[0.02], [0.007]])
"""Least spread of the shares of lung and bone between training series: few series may agree by chance."""

TURNED = 1.1
"""Factor by which a series must resemble training more when turned upside down to count as upside down."""


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


def heights_of(mean_hu: NDArray[np.int16]) -> NDArray[np.float64]:
    """Return the share of lung and of bone in what is not air, in each tenth of the height.

    Parameters
    ----------
    mean_hu : (slices, rows, columns) array of int16
        Channel ``mean`` of a volume, top first.

    Returns
    -------
    (2, 10) array of float64
        Lung and bone, top first.

    Examples
    --------
    >>> slab = np.array([[[-800, 40], [300, -1000]]], dtype=np.int16)
    >>> heights_of(np.repeat(slab, 10, axis=0))[:, 0].round(2)
    array([0.33, 0.33])
    """
    body = np.maximum((mean_hu >= TISSUES_HU["lung"][0]).sum(axis=(1, 2)), 1)
    shares = [((mean_hu >= low) & (mean_hu < high)).sum(axis=(1, 2)) / body for low, high in TISSUES_HU.values()]
    return np.stack([_in_tenths(share) for share in shares])


def _in_tenths(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average over each tenth of the slices; a slice on an edge counts in both, by its parts."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    edges = np.linspace(0, len(values), TENTHS + 1)
    return np.asarray(np.diff(np.interp(edges, np.arange(len(sums)), sums)) / np.diff(edges))


@dataclass(frozen=True, eq=False)
class Heights:
    """Height profile of the training series.

    Parameters
    ----------
    mean, spread : (2, 10) arrays
        Of the training series.
    """

    mean: NDArray[np.float64]
    spread: NDArray[np.float64]

    @classmethod
    def of(cls, heights: NDArray[np.float64]) -> Heights:
        """Sum up (series, 2, 10) shares."""
        return cls(heights.mean(axis=0), np.maximum(heights.std(axis=0), LEAST_SPREAD))

    def distance(self, heights: NDArray[np.float64]) -> float:
        """Return how far a series is from the mean, in standard deviations of a share."""
        return float(np.sqrt((((heights - self.mean) / self.spread) ** 2).mean()))

    def turned(self, heights: NDArray[np.float64]) -> float:
        """Return how much further a series is as it is than turned upside down; above 1 it is further."""
        return self.distance(heights) / max(self.distance(heights[:, ::-1]), np.finfo(float).tiny)


@dataclass(frozen=True, eq=False)
class Measured:
    """One series; a fact that its headers lack is None.

    Parameters
    ----------
    numbers : dict
        Of each key of `NUMBERS`.
    words : dict
        Of each key of `WORDS`.
    hu : (bins,) array of float64
        Share of the voxels that are not air in each bin of `HU_EDGES`.
    heights : (2, 10) array of float64
        From `lidcflow.drift.measures`.
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
