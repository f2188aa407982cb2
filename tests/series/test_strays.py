"""Slices that are not of the stack beside them."""

import pydicom
import pytest

from lidcflow.series.strays import without_stray
from tests.series.stacks import GAPS, only_verdict, steps

STRAYS = {
    "a page at the origin": [0, 0, 0],
    "a page far above": [0, 0, 700],
    "a slice far below": [-100, -100, -63],
    "a slice between two others": [-100, -100, 41.6],
    "a slice to the side of the lowest": [60, -100, 25],
}


@pytest.mark.parametrize("position_mm", STRAYS.values(), ids=STRAYS)
def test_a_stray_beside_a_whole_stack_is_set_aside(ct_series, tmp_path, position_mm):
    folder = ct_series(tmp_path)
    whole = only_verdict(folder)
    stray = pydicom.dcmread(folder / "000004.dcm")
    stray.SOPInstanceUID, stray.ImagePositionPatient = "1.2.99", position_mm
    stray.save_as(folder / "page.dcm")

    verdict = only_verdict(folder)

    assert (verdict.n_files, verdict.set_aside, verdict.flags) == (11, 1, ("files-set-aside",))
    assert verdict.series.fingerprint == whole.series.fingerprint


def test_a_slice_far_beyond_the_end_is_a_stray():
    assert without_stray(steps(*[2.0] * 20, 38.0)) == [*range(21)]
    assert without_stray(steps(38.0, *[2.0] * 20)) == [*range(1, 22)]


def test_a_slice_between_two_that_are_a_step_apart_is_a_stray():
    assert without_stray(steps(2.0, 2.0, 0.7, 1.3, 2.0, 2.0)) == [0, 1, 2, 4, 5, 6]


@pytest.mark.parametrize(
    "distances_mm", [[2.0] * 10, [2.0] * 10 + [4.0], [2.0] * 6 + [38.0, 2.0], GAPS["every third slice missing"]]
)
def test_slices_that_fit_are_kept(distances_mm):
    assert without_stray(steps(*distances_mm)) == [*range(len(distances_mm) + 1)]
