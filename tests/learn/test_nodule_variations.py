import numpy as np
import pytest

from lidcflow.learn.nodule_variations import Scanner, Variation, cut_varied, slab_matrix
from lidcflow.nodules.window import PIXEL_MM, SIZE


def spot(side):
    """Return an image with a bright spot of 5 x 5 pixels in its middle."""
    image = np.zeros((side, side), np.uint8)
    middle = side // 2
    image[middle - 2 : middle + 3, middle - 2 : middle + 3] = 255
    return image


def varied(images, variation, seed=0, away_mm=None):
    pixel_mm = np.full(len(images), PIXEL_MM, np.float32)
    return cut_varied(images, pixel_mm, variation, np.random.default_rng(seed), away_mm)


def place_of(patch):
    """Return how far the middle of what is bright lies from the middle of the patch, in pixels."""
    rows, columns = np.nonzero(patch > 0.5)
    return np.hypot(rows.mean() - (SIZE - 1) / 2, columns.mean() - (SIZE - 1) / 2)


def test_what_is_in_the_middle_stays_there_when_turned_flipped_and_zoomed():
    patches = varied(np.stack([spot(71)] * 20), Variation(shift_mm=0.0))

    assert patches.shape == (20, SIZE, SIZE)
    assert max(place_of(patch) for patch in patches) < 0.5


def test_patches_cut_away_from_the_middle_have_it_at_that_distance():
    patches = varied(np.stack([spot(71)] * 8), Variation(least_zoom=1.0, shift_mm=0.0), away_mm=np.full(8, 7.3))

    assert min(place_of(patch) for patch in patches) > 8


def test_the_same_seed_makes_the_same_patches():
    images = np.random.default_rng(0).integers(0, 256, (3, 50, 50), dtype=np.uint8)

    np.testing.assert_array_equal(varied(images, Variation()), varied(images, Variation()))


def test_beyond_its_rim_an_image_is_mirrored_and_stays_in_range():
    images = np.full((4, 50, 50), 128, np.uint8)

    np.testing.assert_allclose(varied(images, Variation(least_zoom=0.5, shift_mm=5.0)), 128 / 255, rtol=1e-5)


@pytest.mark.parametrize("pixels", [0.5, 1.0, 2.7, 5.0])
def test_slabs_leave_a_constant_as_it_is(pixels):
    np.testing.assert_allclose(slab_matrix(pixels, 0.3) @ np.ones((SIZE, 1), np.float32), 1, rtol=1e-5)


def test_slabs_of_one_pixel_change_nothing():
    np.testing.assert_allclose(slab_matrix(1.0, 0.0, 6), np.eye(6), atol=1e-6)


def test_thick_slabs_blur_along_one_axis_only():
    image = np.zeros((SIZE, SIZE), np.float32)
    image[24] = 1

    seen = slab_matrix(5.0, 2.0) @ image

    assert seen.max() < 0.5
    np.testing.assert_allclose(seen, seen[:, :1].repeat(SIZE, axis=1))


def test_a_patch_recorded_anew_is_another_one_of_0_to_1():
    patches = np.full((16, SIZE, SIZE), 0.5, np.float32)

    recorded = Scanner(0).record(patches, np.random.default_rng(0))

    assert recorded.dtype == np.float32
    assert recorded.min() >= 0
    assert recorded.max() <= 1
    assert not np.allclose(recorded, patches)
    assert (patches == 0.5).all()
