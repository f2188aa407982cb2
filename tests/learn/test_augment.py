import numpy as np
import pytest

from lidcflow.config.science import FinetuneConfig
from lidcflow.learn.augment import augment, variation_of

AIR_HU, BONE_HU = -1024, 2000


@pytest.fixture
def square():
    """Slices of air with a bright square left of the middle that is a malignant nodule."""
    hu = np.full((20, 2, 64, 64), AIR_HU, np.int16)
    masks = np.zeros((20, 64, 64), np.uint8)
    hu[:, :, 24:36, 10:22], masks[:, 24:36, 10:22] = BONE_HU, 2
    return hu, masks


def test_a_mask_moves_with_its_slice(square):
    hu, masks = augment(*square, 64, np.random.default_rng(0))

    bright = hu[:, 0] > 500
    malignant = masks[:, 1] > 0.5
    overlap = (bright & malignant).sum(axis=(1, 2)) / (bright | malignant).sum(axis=(1, 2))
    assert overlap.min() > 0.7


def test_slices_are_flipped_to_either_side(square):
    _, masks = augment(*square, 64, np.random.default_rng(0))

    on_the_left = masks[:, 1, :, :32].sum(axis=(1, 2)) > masks[:, 1, :, 32:].sum(axis=(1, 2))

    assert 0 < on_the_left.sum() < 20


def test_a_part_of_a_slice_holds_some_of_its_nodule(square):
    hu, masks = augment(*square, 16, np.random.default_rng(2))

    assert hu.shape == (20, 2, 16, 16)
    assert (masks[:, 1].max(axis=(1, 2)) > 0).all()


def test_values_stay_within_hounsfield_range(square):
    hu, _ = augment(*square, 64, np.random.default_rng(1))

    assert hu.min() >= -1024
    assert hu.max() <= 3071


def test_the_same_chance_gives_the_same_slices(square):
    hu, _ = augment(*square, 64, np.random.default_rng(7))
    same, _ = augment(*square, 64, np.random.default_rng(7))

    np.testing.assert_array_equal(hu, same)


STILL = {"rotate_degrees": 0, "offset_hu": 0, "gain": 0}


@pytest.fixture
def volume_hu():
    """Twelve slices of lung with a bright square on the left."""
    hu = np.full((2, 12, 32, 32), -800, np.int16)
    hu[:, :, 12:20, 4:10] = 300
    return hu


def on_the_left(hu):
    return hu[0, :, :, :16].max(axis=(1, 2)) > hu[0, :, :, 16:].max(axis=(1, 2))


def test_no_view_is_mirrored_unless_it_is_asked_for(volume_hu):
    kept = variation_of(volume_hu, "1.2", 1, FinetuneConfig(rotate_degrees=20))
    mirrored = variation_of(volume_hu, "1.2", 1, FinetuneConfig(rotate_degrees=20, flip="left-right"))

    assert on_the_left(kept).all()
    assert 0 < on_the_left(mirrored).sum() < 12


def test_a_slice_is_mirrored_as_a_whole(volume_hu):
    mirrored = variation_of(volume_hu, "1.2", 1, FinetuneConfig(flip="left-right", **STILL))

    for place in range(12):
        assert any((mirrored[:, place] == side).all() for side in (volume_hu[:, place], volume_hu[:, place, :, ::-1]))


def test_rotation_is_about_the_centre_and_what_comes_from_outside_is_air():
    hu = np.full((2, 1, 33, 33), 100, np.int16)
    hu[:, :, 16, 16] = 3071

    turned = variation_of(hu, "1.2", 3, FinetuneConfig(rotate_degrees=45, offset_hu=0, gain=0))

    assert turned[0, 0, 16, 16] == 3071
    assert turned[0, 0, 0, 0] == -1024
    assert (turned[0, 0] == 100).sum() > 500


def test_both_channels_of_a_slice_are_varied_alike(volume_hu):
    mean_hu, max_hu = variation_of(volume_hu, "1.2", 1, FinetuneConfig(flip="left-right"))

    np.testing.assert_array_equal(mean_hu, max_hu)


@pytest.mark.parametrize("hu", [-1024, 3071])
def test_values_of_a_view_stay_within_hounsfield_range(hu):
    varied = variation_of(np.full((2, 20, 8, 8), hu, np.int16), "1.2", 1, FinetuneConfig(offset_hu=200, gain=0.5))

    assert varied.dtype == np.int16
    assert varied.min() >= -1024
    assert varied.max() <= 3071


def test_a_view_is_the_same_each_time_and_another_for_each_series_view_slice_and_seed(volume_hu):
    settings = FinetuneConfig()
    one = variation_of(volume_hu, "1.2", 1, settings)

    np.testing.assert_array_equal(one, variation_of(volume_hu, "1.2", 1, settings))
    others = [
        variation_of(volume_hu, "1.3", 1, settings),
        variation_of(volume_hu, "1.2", 2, settings),
        variation_of(volume_hu, "1.2", 1, FinetuneConfig(view_seed=1)),
    ]
    assert all((one != other).any() for other in others)
    assert (one[:, 0] != one[:, 1]).any()


def test_one_setting_leaves_the_chance_of_the_others_alone(volume_hu):
    with_jitter = variation_of(volume_hu, "1.2", 1, FinetuneConfig(rotate_degrees=0, gain=0, flip="left-right"))
    without = variation_of(volume_hu, "1.2", 1, FinetuneConfig(flip="left-right", **STILL))

    np.testing.assert_array_equal(on_the_left(with_jitter), on_the_left(without))
