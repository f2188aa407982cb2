import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist

from lidcflow.labels.clustering import cluster_points
from lidcflow.labels.match import Images
from lidcflow.labels.nodules import group_readings
from lidcflow.labels.readings import MarkedSlice, Origin, Reading

IMAGES = Images("1.2.3", np.arange(50.0, 0.0, -2.5), ("",) * 20, 1.25, 2.5, 512, 512)
ORIGIN = Origin("csv", "own.csv")


def at(*z_mm, reader="", nodule_id="", points=None):
    return Reading("1.2.3", 3.0, ORIGIN, tuple(MarkedSlice(z, points=points) for z in z_mm), None, reader, nodule_id)


def across(low_mm, high_mm, reader=""):
    return Reading("1.2.3", 3.0, ORIGIN, (), (low_mm, high_mm), reader)


def groups(*readings):
    return [[readings.index(reading) for reading in nodule.readings] for nodule in group_readings(readings, IMAGES)]


def test_outlines_within_the_slice_thickness_are_one_nodule():
    near, far = np.array([[10, 10], [12, 12]]), np.array([[10, 15]])

    assert groups(at(20.0, points=near), at(20.0, points=near + 2), at(20.0, points=far)) == [[0, 1], [2]]


def test_names_decide_where_there_are_no_outlines():
    assert groups(at(10.0, nodule_id="a"), at(40.0, nodule_id="b"), at(30.0, nodule_id="a")) == [[0, 2], [1]]


def test_without_names_what_overlaps_along_z_is_one_nodule():
    assert groups(across(10, 20), across(19, 30), across(31, 40)) == [[1, 0], [2]]


def test_what_only_touches_does_not_overlap():
    assert groups(at(20.0), at(22.5)) == [[0], [1]]


def test_two_readings_of_one_reader_are_two_nodules():
    assert groups(across(10, 20, "A"), across(12, 18, "A"), across(11, 19, "B")) == [[0, 2], [1]]


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0.1, 20), st.sampled_from(["", "A", "B"])), max_size=8))
def test_every_reading_is_in_one_nodule_and_the_order_of_rows_does_not_matter(drawn):
    readings = [across(low, low + height, reader) for low, height, reader in drawn]

    forward, backward = (group_readings(of, IMAGES) for of in (readings, readings[::-1]))

    assert sorted(id(reading) for nodule in forward for reading in nodule.readings) == sorted(map(id, readings))
    assert sorted(len(nodule.readings) for nodule in forward) == sorted(len(nodule.readings) for nodule in backward)


BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "clusters_equal_pylidc.py"

SAMPLE = {
    "one nodule": "1.3.6.1.4.1.14519.5.2.1.6279.6001.179049373636438705059720603192",
    "no reading": "1.3.6.1.4.1.14519.5.2.1.6279.6001.203741923654363010377298352671",
    "a gap between slices": "1.3.6.1.4.1.14519.5.2.1.6279.6001.245181799370098278918756923992",
    "shrinks the tolerance": "1.3.6.1.4.1.14519.5.2.1.6279.6001.302403227435841351528721627052",
    "ends with five readings in one cluster": "1.3.6.1.4.1.14519.5.2.1.6279.6001.159996104466052855396410079250",
}


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


def test_clusters_equal_those_of_pylidc():
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), *SAMPLE.values()], capture_output=True, text=True, check=False
    )

    assert "same clusters: 5/5 series" in done.stdout, done.stdout + done.stderr
    assert "series that end with a cluster of more than 4: 1" in done.stdout
