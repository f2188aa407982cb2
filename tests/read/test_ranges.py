"""Neighbours join into ranges."""

import numpy as np

from lidcflow.read.ranges import ranges_above


def test_neighbours_at_or_above_the_threshold_join():
    assert ranges_above(np.array([0.5, 0.9, 0.4, 0.5]), 0.5) == [range(0, 2), range(3, 4)]


def test_nothing_above_is_no_range_and_everything_is_one():
    assert ranges_above(np.array([0.1, 0.2]), 0.5) == []
    assert ranges_above(np.array([0.1, 0.2]), 0.0) == [range(0, 2)]
