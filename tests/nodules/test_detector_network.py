import numpy as np
import pytest
from scipy.signal import correlate2d

from lidcflow.nodules.detector_network import BATCH, DetectorNetwork, convolve, pooled
from tests.nodules.detectors import random_weights


@pytest.mark.parametrize("side", [5, 6])
def test_a_convolution_of_stride_1_is_a_correlation_padded_with_zeros(side):
    rng = np.random.default_rng(0)
    maps, kernel = rng.normal(size=(1, side, side, 1)), rng.normal(size=(3, 3, 1, 1))

    convolved = convolve(maps, kernel, 1)[0, :, :, 0]

    np.testing.assert_allclose(convolved, correlate2d(maps[0, :, :, 0], kernel[:, :, 0, 0], "same"))


def test_a_convolution_of_stride_2_pads_more_at_the_end_as_keras_does():
    maps = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    first = np.zeros((3, 3, 1, 1), np.float32)
    first[0, 0] = 1

    np.testing.assert_array_equal(convolve(maps, first, 2)[0, :, :, 0], [[0, 2], [8, 10]])


def test_maps_are_pooled_as_a_whole_and_in_the_middle():
    maps = np.zeros((1, 4, 4, 1), np.float32)
    maps[0, 1:3, 1:3] = 8

    np.testing.assert_array_equal(pooled(maps), [[2, 8, 8]])


def test_patches_are_scored_the_same_alone_and_among_others():
    network = DetectorNetwork(random_weights(0))
    patches = np.random.default_rng(1).integers(0, 256, (BATCH + 1, 48, 48), dtype=np.uint8)

    together = network(patches)

    np.testing.assert_allclose(network(patches[-1:]), together[-1:], rtol=1e-5)
    assert network(patches[:0]).shape == (0,)
