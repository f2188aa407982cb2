"""Which readings mean the same nodule."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist

from lidcflow.labels.clustering import cluster_points


def line(*columns: int) -> list[NDArray[np.int64]]:
    """One point set a column, all in row 0 of slice 0."""
    return [np.array([[0, column, 0]]) for column in columns]


def as_pylidc(points: list[NDArray[np.int64]], tolerance: float) -> list[int]:
    """The loop of pylidc's `Scan.cluster_annotations`, over all pairs of points."""
    distances = np.array([[cdist(one, other).min() for other in points] for one in points])
    clusters = connected_components(distances <= tolerance, directed=False)[1]
    while np.bincount(clusters).max() > 4:
        tolerance *= 0.9
        if tolerance < 0.1:
            break
        clusters = connected_components(distances <= tolerance, directed=False)[1]
    return clusters.tolist()


def test_readings_within_the_tolerance_are_one_nodule():
    assert cluster_points(line(0, 2, 9), tolerance=2.0).tolist() == [0, 0, 1]


def test_a_distance_equal_to_the_tolerance_is_near_and_a_longer_one_is_far():
    assert cluster_points(line(0, 3), tolerance=3.0).tolist() == [0, 0]
    assert cluster_points(line(0, 3), tolerance=2.999).tolist() == [0, 1]


def test_neighbours_of_neighbours_belong_together():
    assert cluster_points(line(0, 4, 2), tolerance=2.0).tolist() == [0, 0, 0]


def test_the_closest_points_count_and_not_the_boxes():
    corner = np.array([[0, 0, 0], [10, 0, 0], [0, 10, 0]])
    inside_its_box = np.array([[9, 9, 0]])

    assert cluster_points([corner, inside_its_box], tolerance=2.0).tolist() == [0, 1]


def test_more_than_four_readings_shrink_the_tolerance():
    # All within 5 of the next; the gap of 4 parts them once the tolerance is below it: 5, 4.5, 4.05, 3.6.
    assert cluster_points(line(0, 1, 2, 6, 7), tolerance=5.0).tolist() == [0, 0, 0, 1, 1]


def test_five_readings_that_touch_stay_one_cluster():
    assert cluster_points(line(0, 0, 0, 0, 0), tolerance=5.0).tolist() == [0] * 5


@pytest.mark.parametrize("columns", [(), (7,)])
def test_few_readings_need_no_pairs(columns: tuple[int, ...]):
    assert cluster_points(line(*columns), tolerance=1.0).tolist() == [0] * len(columns)


@given(
    st.lists(
        st.lists(st.tuples(*[st.integers(0, 12)] * 3), min_size=1, max_size=4).map(np.array), min_size=1, max_size=12
    ),
    st.sampled_from([0.05, 0.6, 1.25, 2.5, 5.0]),
)
@settings(deadline=None)
def test_trees_and_boxes_give_the_clusters_of_all_pairs(points: list[NDArray[np.int64]], tolerance: float):
    assert cluster_points(points, tolerance).tolist() == as_pylidc(points, tolerance)
