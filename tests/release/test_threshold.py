"""The threshold of a release."""

import numpy as np
import pytest

from lidcflow.errors import ReleaseError
from lidcflow.release.threshold import operating_point, threshold_for
from lidcflow.stats.paired import Sample


@pytest.mark.parametrize(("target", "threshold"), [(0.25, 0.9), (0.5, 0.7), (0.51, 0.4), (0.99, 0.1)])
def test_the_threshold_is_the_highest_that_finds_enough_nodule_slices(target, threshold):
    p_nodule = np.array([0.9, 0.8, 0.7, 0.4, 0.1, 0.05])
    labels = np.array([1, 0, 2, 1, 1, 0])

    assert threshold_for(p_nodule, labels, target) == threshold


def test_a_threshold_needs_a_nodule():
    with pytest.raises(ReleaseError, match="at least one nodule, got none"):
        threshold_for(np.array([0.5]), np.array([0]), 0.8)


def test_what_a_threshold_comes_to_is_told_with_its_interval():
    labels = np.array([[1, 0, 0, 0], [0, 2, 0, 0]], dtype=np.int8)
    p_nodule = np.array([[0.9, 0.5, 0.1, 0.1], [0.1, 0.2, 0.1, 0.1]])
    p = np.stack([1 - p_nodule, p_nodule / 2, p_nodule / 2], axis=-1)

    point = operating_point(p, Sample.of(["a", "b"], labels, seed=0, resamples=100), 0.5)

    assert (point.sensitivity.value, point.slices_above.value) == (0.5, 0.25)
    assert (point.sensitivity.low, point.sensitivity.high) == (0.0, 1.0)
