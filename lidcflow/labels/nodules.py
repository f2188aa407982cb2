"""Group the readings of a series into nodules: by their outlines as pylidc does, else by name, else by overlap in z."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from lidcflow.labels.match import Images
from lidcflow.labels.readings import Nodule, Reading
from lidcflow.volume.resample import OVERLAP_MM

MOST_READERS = 4
FACTOR = 0.9
LEAST_TOLERANCE = 0.1


def cluster_points(points: Sequence[NDArray[np.int64]], tolerance: float) -> NDArray[np.int32]:
    """Cluster point sets whose closest points lie within a tolerance, as pylidc's `Scan.cluster_annotations`.

    The tolerance shrinks by a tenth while any cluster holds more than four point sets, but not below 0.1.

    Parameters
    ----------
    points : sequence of (n_points, 3) arrays of int
        Contour points of each reading as image indices: row, column, slice.
    tolerance : float
        Largest distance within a cluster. pylidc takes the slice thickness in mm and compares it
        with distances in voxels; so does this.

    Returns
    -------
    (readings,) array of int32
        Cluster of each point set, numbered from 0 in order of first appearance.

    Examples
    --------
    >>> near, far = np.array([[0, 0, 0]]), np.array([[9, 9, 9]])
    >>> cluster_points([near, far, near + 1], tolerance=2.0)
    array([0, 1, 0], dtype=int32)
    """
    distances = _distances(points, tolerance)
    clusters = _components(distances, tolerance)
    while len(clusters) and np.bincount(clusters).max() > MOST_READERS and tolerance * FACTOR >= LEAST_TOLERANCE:
        tolerance *= FACTOR
        clusters = _components(distances, tolerance)
    return clusters


def _components(distances: NDArray[np.float64], tolerance: float) -> NDArray[np.int32]:
    clusters: NDArray[np.int32] = connected_components(distances <= tolerance, directed=False)[1]
    return clusters


def _distances(points: Sequence[NDArray[np.int64]], tolerance: float) -> NDArray[np.float64]:
    """Least distance of each pair of point sets; infinite where it exceeds the tolerance."""
    near = _box_gaps(points) <= tolerance
    distances = np.full(near.shape, np.inf)
    # The bound of a query is exclusive, but a distance equal to the tolerance is near.
    bound = np.nextafter(tolerance, np.inf)
    for first in np.flatnonzero(np.triu(near, k=1).any(axis=1)).tolist():
        tree = cKDTree(points[first])
        for second in (first + 1 + np.flatnonzero(near[first, first + 1 :])).tolist():
            nearest = tree.query(points[second], distance_upper_bound=bound)[0].min()
            distances[first, second] = distances[second, first] = nearest
    return distances


def _box_gaps(points: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    """Distance of the bounding boxes of each pair of point sets, a lower bound of that of their points."""
    low = np.array([p.min(axis=0) for p in points]).reshape(-1, 3)
    high = np.array([p.max(axis=0) for p in points]).reshape(-1, 3)
    gaps = np.maximum(low[:, None] - high[None], low[None] - high[:, None]).clip(min=0)
    norms: NDArray[np.float64] = np.linalg.norm(gaps, axis=-1)
    return norms


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
