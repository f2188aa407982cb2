import numpy as np
import pytest

from lidcflow.learn.inputs import SOFT_TISSUE_HU, model_input, windowed

MEAN_HU, MAX_HU = -600, 0


def one_slice() -> np.ndarray:
    return np.stack([np.full((1, 2, 2), MEAN_HU), np.full((1, 2, 2), MAX_HU)]).astype(np.int16)


def test_gray_is_the_mean_in_the_lung_window_three_times():
    images = model_input(one_slice(), "gray")

    np.testing.assert_array_equal(images, np.full((1, 2, 2, 3), 127.5))


def test_max_is_the_maximum_in_the_lung_window_three_times():
    images = model_input(one_slice(), "max")

    np.testing.assert_array_equal(images, np.full((1, 2, 2, 3), 229.5))


def test_projections_are_mean_and_max_in_the_lung_window_and_mean_in_the_soft_tissue_window():
    red, green, blue = model_input(one_slice(), "projections")[0, 0, 0]

    assert (red, green, blue) == (127.5, 229.5, 0)


def test_a_window_clips_to_0_and_255():
    np.testing.assert_array_equal(windowed(np.array([-161, 241]), SOFT_TISSUE_HU), [0, 255])


def test_images_are_float32():
    assert model_input(one_slice(), "projections").dtype == np.float32


@pytest.mark.parametrize("shape", [(2, 4, 4), (3, 1, 4, 4)])
def test_a_volume_without_its_two_channels_is_a_wrong_argument(shape):
    with pytest.raises(ValueError, match=r"must have shape \(2, slices, rows, columns\)"):
        model_input(np.zeros(shape), "gray")


def test_an_unknown_input_is_a_wrong_argument():
    with pytest.raises(ValueError, match="'gray', 'max' or 'projections', got 'colour'"):
        model_input(one_slice(), "colour")
