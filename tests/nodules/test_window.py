import numpy as np

from lidcflow.nodules.window import middle, windowed


def test_densities_beyond_the_window_are_its_ends():
    np.testing.assert_array_equal(windowed(np.array([-3000, 3000], np.int16)), [0, 255])


def test_the_middle_of_a_patch_of_50_pixels_leaves_one_at_each_side():
    patches = np.zeros((1, 50, 50), np.uint8)
    patches[0, 1:49, 1:49] = 7

    assert (middle(patches) == 7).all()
