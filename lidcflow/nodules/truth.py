"""Classify candidates by the annotations of their series: nodules, none, or neither."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from lidcflow.labels.match import Images
from lidcflow.labels.readings import Nodule, Reading
from lidcflow.nodules.outline_points import enclosed

MIN_READERS = 3
"""Readers, of four, who must have marked a nodule: with fewer it is neither hit nor miss (LUNA16)."""

MIN_DIAMETER_MM = 3.0

NEAR_MM = 5.0
"""A candidate that is no hit, and nearer than this to the rim of a nodule, is neither."""


class Kind(IntEnum):
    """The class of a candidate."""

    NEGATIVE = 0
    NODULE = 1
    EXCLUDED = 2


@dataclass(frozen=True, eq=False)
class Consensus:
    """The readers' consensus on a nodule.

    Parameters
    ----------
    centre_mm : (3,) array of float64
        z, and where it is down and across the image: mean over the readers.
    diameter_mm : float
        Of a ball with the volume within an outline; mean over the readers.
    readers : int
        Who marked it.
    """

    centre_mm: NDArray[np.float64]
    diameter_mm: float
    readers: int

    @property
    def counts(self) -> bool:
        """Whether it is to be found: enough readers, and large enough."""
        return self.readers >= MIN_READERS and self.diameter_mm >= MIN_DIAMETER_MM


@dataclass(frozen=True, eq=False)
class Truth:
    """Classes of candidates.

    Parameters
    ----------
    kinds : (n,) array of int
        A `Kind` for each candidate.
    nodules : (n,) array of int
        The nodule that a candidate is in, by its place in the list; -1 for none.
    """

    kinds: NDArray[np.intp]
    nodules: NDArray[np.intp]


def consensus(nodule: Nodule, images: Images, pixel_mm: tuple[float, float]) -> Consensus | None:
    """Average the outlines of a nodule.

    Parameters
    ----------
    nodule : Nodule
        With its readings.
    images : Images
        The source slices of its series.
    pixel_mm : tuple of 2 floats
        Distance of rows and of columns.

    Returns
    -------
    Consensus, or None
        None where a reading has no outline: nobody knows where in the image the nodule is.
    """
    if not all(reading.is_outlined for reading in nodule.readings):
        return None
    balls = [_ball(reading, images.h_mm, pixel_mm) for reading in nodule.readings]
    centre_mm = np.mean([centre for centre, _ in balls], axis=0)
    return Consensus(centre_mm, float(np.mean([diameter for _, diameter in balls])), len(balls))


def _ball(reading: Reading, h_mm: float, pixel_mm: tuple[float, float]) -> tuple[NDArray[np.float64], float]:
    """Return the centre of a reading in mm, and the diameter of a ball as large."""
    outlines = [
        (mark.z_mm, mark.points * pixel_mm) for mark in reading.marks if mark.inclusion and mark.points is not None
    ]
    areas = np.array([_area(points) for _, points in outlines]) + np.prod(pixel_mm)
    centres = np.array([[z_mm or 0.0, *points.mean(axis=0)] for z_mm, points in outlines])
    volume = areas.sum() * 2 * h_mm
    return np.average(centres, axis=0, weights=areas), float((6 * volume / np.pi) ** (1 / 3))


def _area(points: NDArray[np.floating]) -> float:
    """Return the area within an outline."""
    y, x = points.T
    return float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2)


def judge_candidates(
    table: NDArray[np.void], nodules: Sequence[Nodule], images: Images, pixel_mm: tuple[float, float]
) -> Truth:
    """Join candidates with the nodules that readers marked.

    A candidate is a nodule if it is nearer to the centre than the radius, or within the outline of half of the
    readers. Candidates in nodules that do not count, just outside of one that does, and beside a reading that has
    no outline, are neither.

    Parameters
    ----------
    table : (n,) array of CANDIDATE
        Of a series.
    nodules : sequence of Nodule
        Of the series, perhaps none.
    images : Images
        Its source slices.
    pixel_mm : tuple of 2 floats
        Distance of rows and of columns.

    References
    ----------
    Setio et al. 2017, doi:10.1016/j.media.2017.06.015, section 4: the rule of LUNA16.
    """
    kinds, inside = np.full(len(table), Kind.NEGATIVE, np.intp), np.full(len(table), -1, np.intp)
    places = np.column_stack([table["z_mm"], table["row"], table["column"]]).astype(np.float64)
    for number, nodule in enumerate(nodules):
        agreed = consensus(nodule, images, pixel_mm)
        if agreed is None:
            kinds[_beside(places[:, 0], nodule, images.h_mm) & (kinds != Kind.NODULE)] = Kind.EXCLUDED
            continue
        far_mm = np.linalg.norm(places * (1, *pixel_mm) - agreed.centre_mm, axis=1)
        hit = (far_mm < agreed.diameter_mm / 2) | _within(places, nodule, images)
        near = ~hit & (far_mm < agreed.diameter_mm / 2 + NEAR_MM) & (kinds == Kind.NEGATIVE)
        kinds[near] = Kind.EXCLUDED
        kinds[hit & ((kinds != Kind.NODULE) | agreed.counts)] = Kind.NODULE if agreed.counts else Kind.EXCLUDED
        inside[hit] = number
    return Truth(kinds, inside)


def _beside(z_mm: NDArray[np.float64], nodule: Nodule, h_mm: float) -> NDArray[np.bool_]:
    """Return which heights a nodule reaches."""
    low, high = nodule.covered_mm(h_mm).T
    return np.asarray(((z_mm[:, None] >= low) & (z_mm[:, None] <= high)).any(axis=1))


def _within(places: NDArray[np.float64], nodule: Nodule, images: Images) -> NDArray[np.bool_]:
    """Return which places are inside of the outlines of at least half of the readers."""
    votes = sum((_inside(places, reading, images) for reading in nodule.readings), np.zeros(len(places), np.intp))
    return np.asarray(2 * votes >= len(nodule.readings))


def _inside(places: NDArray[np.float64], reading: Reading, images: Images) -> NDArray[np.intp]:
    """Return 1 for each place inside of an outline of a reading, and not inside of a hole."""
    nearest_mm = images.z_mm[np.abs(images.z_mm - places[:, :1]).argmin(axis=1)] if len(places) else np.empty(0)
    at = [np.zeros(len(places), bool), np.zeros(len(places), bool)]
    for mark in reading.marks:
        at[mark.inclusion] |= np.isclose(nearest_mm, mark.z_mm or 0.0) & enclosed(places[:, 1:], mark.points)
    return (at[True] & ~at[False]).astype(np.intp)
