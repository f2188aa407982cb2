"""Group readings into nodules as pylidc does, with bounding boxes and k-d trees instead of all point pairs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

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
