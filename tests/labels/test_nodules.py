import subprocess
import sys
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

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


def test_clusters_equal_those_of_pylidc():
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), *SAMPLE.values()], capture_output=True, text=True, check=False
    )

    assert "same clusters: 5/5 series" in done.stdout, done.stdout + done.stderr
    assert "series that end with a cluster of more than 4: 1" in done.stdout
