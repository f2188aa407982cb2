import numpy as np
import pytest

from lidcflow.nodules.nodule_plane import disc_mask, mask_diameter_mm, nodule_mask, plane_of
from lidcflow.nodules.qif import QIF_NAMES, qif_of


def named(plane, mask):
    return dict(zip(QIF_NAMES, qif_of(plane, mask).tolist(), strict=True))


@pytest.fixture
def two_by_two():
    """A mask of four pixels: 0, 30, 30, 60 HU, which are bins 0, 1, 1 and 2."""
    plane, mask = np.full((48, 48), -850.0), np.zeros((48, 48), bool)
    mask[20:22, 20:22] = True
    plane[mask] = (0, 30, 30, 60)
    return named(plane, mask)


def test_first_order_features_are_those_of_the_pixels_in_the_mask(two_by_two):
    assert two_by_two["firstorder_Mean"] == 30
    assert two_by_two["firstorder_Range"] == 60
    assert two_by_two["firstorder_Variance"] == 450
    assert two_by_two["firstorder_Energy"] == 5400
    assert two_by_two["firstorder_Entropy"] == 1.5
    assert two_by_two["firstorder_Uniformity"] == 0.375


def test_textures_are_the_mean_over_four_directions(two_by_two):
    assert two_by_two["glcm_Contrast"] == pytest.approx((1 + 1 + 4 + 0) / 4)


def test_shape_is_that_of_the_marching_squares_outline(two_by_two):
    corners, sides = 4 * 0.75 * np.sqrt(0.5), 4 * 0.75

    assert two_by_two["shape2D_PixelSurface"] == 4 * 0.75**2
    assert two_by_two["shape2D_MeshSurface"] == pytest.approx(3.5 * 0.75**2)
    assert two_by_two["shape2D_Perimeter"] == pytest.approx(corners + sides)
    assert two_by_two["shape2D_Elongation"] == pytest.approx(1)


def test_one_pixel_has_features_that_are_numbers():
    mask = np.zeros((48, 48), bool)
    mask[24, 24] = True

    assert np.isfinite(qif_of(np.full((48, 48), -100.0), mask)).all()


def test_an_empty_mask_is_refused():
    with pytest.raises(ValueError, match="at least one pixel, got none"):
        qif_of(np.zeros((48, 48)), np.zeros((48, 48), bool))


@pytest.mark.parametrize("diameter_mm", [6.0, 12.0, 20.0])
def test_the_mask_of_a_disc_beside_the_chest_wall_is_the_disc(diameter_mm):
    rows, columns = np.indices((71, 71)) - 35.0
    image = np.where(np.hypot(rows, columns) * 0.7 <= diameter_mm / 2, 0, -850)
    image[:, 66:] = 50

    found = mask_diameter_mm(nodule_mask(plane_of(image, 0.7)))

    assert found == pytest.approx(diameter_mm, abs=1.5)


def test_a_plane_without_anything_in_its_middle_has_a_mask_of_at_least_a_pixel():
    assert nodule_mask(np.full((48, 48), -850, np.float32)).any()


def test_the_disc_of_no_diameter_has_pixels():
    assert disc_mask(0.0).sum() == 4
