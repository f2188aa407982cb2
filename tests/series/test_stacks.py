import numpy as np
import pytest

from lidcflow.series.stacks import are_gaps, is_stack, is_whole, lie_in_each_other
from tests.series.stacks import GAPS, steps


@pytest.mark.parametrize("distances_mm", GAPS.values(), ids=GAPS)
def test_a_gap_is_one_against_its_neighbours(distances_mm):
    found = are_gaps(np.array(distances_mm, np.float64))

    assert found[distances_mm.index(2)]
    assert not found[np.array(distances_mm) == 1].any()


NO_GAPS = {
    "even": [2.5] * 20,
    "a short step where a pass begins": [5.0] * 10 + [2.0] + [5.0] * 10,
    "the joint of LIDC-IDRI-0123": [1.25] * 30 + [0.5, 0.75, 0.5] + [1.25] * 15,
    "the joints of LIDC-IDRI-0267": [2.5] * 30 + [0.5] + [2.5] * 11 + [0.5] + [2.5] * 4,
    "a little wider now and then": [1.0, 1.0, 1.3] * 6,
    "none": [],
}


@pytest.mark.parametrize("distances_mm", NO_GAPS.values(), ids=NO_GAPS)
def test_spacing_that_varies_a_little_has_no_gaps(distances_mm):
    assert not are_gaps(np.array(distances_mm, np.float64)).any()
    assert is_whole(steps(*distances_mm))


def test_stacks_that_interleave_lie_in_each_other():
    z_mm, codes = -np.arange(20.0), np.arange(20) % 2

    assert lie_in_each_other(z_mm, codes).all()
    assert lie_in_each_other(z_mm, np.arange(20) // 10) is None


def test_labels_in_no_order_are_noise_where_all_slices_are_even():
    codes = np.array([0, 1, 1, 0, 0, 1, 0, 0, 1, 1, 1, 0])

    assert lie_in_each_other(-np.arange(12.0), codes) is None


def test_a_few_slices_are_no_stack():
    assert not is_stack(steps(1.0, 1.0))
    assert is_stack(steps(1.0, 1.0, 1.0))
