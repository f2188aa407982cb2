import numpy as np
import pytest

from lidcflow.learn.augment import augment

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
