import numpy as np
import pytest
from scipy import ndimage

from lidcflow.nodules.segmenter_network import SegmenterNetwork, convolve, network_input, packed, unpacked
from tests.nodules.outlined import random_weights


def test_blocks_of_voxels_come_back_from_channels():
    cube = np.random.default_rng(0).random((1, 8, 8, 8), np.float32)

    np.testing.assert_array_equal(unpacked(packed(cube)[0]), cube[0])


@pytest.mark.parametrize("size", [1, 3])
def test_maps_are_convolved_as_by_scipy(size):
    rng = np.random.default_rng(1)
    maps, kernel = rng.random((4, 4, 4, 2)).astype("f4"), rng.random((size, size, size, 2, 3)).astype("f4")

    expected = [
        sum(ndimage.correlate(maps[..., i], kernel[..., i, out], mode="constant") for i in range(2)) for out in range(3)
    ]
    np.testing.assert_allclose(convolve(maps, kernel), np.stack(expected, axis=-1), rtol=1e-4)


def test_places_know_how_far_from_the_middle_they_are():
    maps = network_input(np.zeros((2, 48, 48, 48), np.uint8), np.array([0.75, 1.5]))

    assert maps[0, 12, 12, 13, 8] * 12 == pytest.approx(np.sqrt(1 + 1 + 9))
    assert maps[1, 12, 12, 13, 9] == pytest.approx(2 * maps[0, 12, 12, 13, 9])
    assert maps[0, 0, 0, 0, 8] * 12 == 24


def test_a_cube_has_a_logit_for_each_voxel_that_depends_on_its_pitch():
    network, grey = SegmenterNetwork(random_weights()), np.full((16, 16, 16), 99, np.uint8)

    fine, coarse = network(grey, 0.75), network(grey, 1.5)

    assert fine.shape == grey.shape
    assert np.isfinite(fine).all()
    assert not np.array_equal(fine, coarse)
