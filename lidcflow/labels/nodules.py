"""Group the readings of a series into nodules: by their outlines as pylidc does, else by name, else by overlap in z."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from lidcflow.labels.clustering import cluster_points
from lidcflow.labels.match import Images
from lidcflow.labels.readings import Nodule, Reading
from lidcflow.volume.resample import OVERLAP_MM


def group_readings(readings: Sequence[Reading], images: Images) -> list[Nodule]:
    """Find the readings that mean the same nodule.

    Readings with outlines are clustered as pylidc does. Of the others, those with the same `nodule_id` are one
    nodule, and those without one are joined where their stretches along z overlap; two readings of one named
    reader are never joined by that, as nobody marks a nodule twice.

    Parameters
    ----------
    readings : sequence of Reading
        Of one series, with positions.
    images : Images
        Its source slices.

    Returns
    -------
    list of Nodule
        Lowest first.
    """
    outlined = [reading for reading in readings if reading.is_outlined]
    named = [reading for reading in readings if not reading.is_outlined and reading.nodule_id]
    others = [reading for reading in readings if not reading.is_outlined and not reading.nodule_id]
    groups = [*_by_outline(outlined, images), *_by_name(named), *_by_overlap(others, images.h_mm)]
    return [Nodule(tuple(group)) for group in sorted(groups, key=_middle_mm)]


def join_overlapping(readings: Sequence[Reading], h_mm: float) -> list[Nodule]:
    """Join readings without outlines and names into nodules where they overlap along z.

    Parameters
    ----------
    readings : sequence of Reading
        Of one series, with positions or z ranges.
    h_mm : float
        Half the spacing of the source slices.
    """
    return [Nodule(tuple(group)) for group in _by_overlap(readings, h_mm)]


def _by_outline(readings: Sequence[Reading], images: Images) -> Iterable[list[Reading]]:
    if not readings:
        return []
    rising_mm = np.sort(images.z_mm)
    points = [_index_points(reading, rising_mm) for reading in readings]
    clusters = cluster_points(points, images.slice_thickness_mm)
    return [[readings[i] for i in np.flatnonzero(clusters == cluster).tolist()] for cluster in np.unique(clusters)]


def _index_points(reading: Reading, rising_mm: NDArray[np.float64]) -> NDArray[np.int64]:
    """All points of a reading as (row, column, slice), slices counted from the lowest as pylidc does."""
    planes = []
    for mark in reading.marks:
        if mark.z_mm is not None and mark.points is not None:
            index = int(np.abs(rising_mm - mark.z_mm).argmin())
            planes.append(np.insert(mark.points, 2, index, axis=1))
    return np.vstack(planes)


def _by_name(readings: Iterable[Reading]) -> Iterable[list[Reading]]:
    groups: dict[str, list[Reading]] = {}
    for reading in readings:
        groups.setdefault(reading.nodule_id, []).append(reading)
    return groups.values()


def _by_overlap(readings: Sequence[Reading], h_mm: float) -> list[list[Reading]]:
    """Join from the top down; a reading goes into the first nodule that it reaches and its reader is not in."""
    groups: list[list[Reading]] = []
    for reading in sorted(readings, key=lambda reading: _extent_mm(reading, h_mm)[::-1], reverse=True):
        top_mm = _extent_mm(reading, h_mm)[1]
        for group in groups:
            bottom_mm = min(_extent_mm(other, h_mm)[0] for other in group)
            is_new = not reading.reader or reading.reader not in {other.reader for other in group}
            if is_new and top_mm > bottom_mm + OVERLAP_MM:
                group.append(reading)
                break
        else:
            groups.append([reading])
    return groups


def _extent_mm(reading: Reading, h_mm: float) -> tuple[float, float]:
    stretches = reading.covered_mm(h_mm)
    return min(low for low, _ in stretches), max(high for _, high in stretches)


def _middle_mm(readings: Sequence[Reading]) -> float:
    return float(np.mean([_centre_mm(reading) for reading in readings]))


def _centre_mm(reading: Reading) -> float:
    if reading.z_range_mm:
        return sum(reading.z_range_mm) / 2
    weights = [1 if mark.points is None else len(mark.points) for mark in reading.marks]
    return float(np.average([mark.z_mm or 0.0 for mark in reading.marks], weights=weights))
