"""Procedural volumes: the truth fits what is drawn, and the lung looks like a phantom's."""

import numpy as np
import pytest

from lidcflow.phantom import procedural


@pytest.fixture(scope="module")
def volume():
    return procedural.volume(11, nodules=6.0)


def test_shapes_and_types_are_those_of_stored_volumes(volume):
    assert (volume.hu.shape, volume.hu.dtype) == ((2, 65, 128, 128), np.int16)
    assert (volume.labels.shape, volume.labels.dtype) == ((65,), np.int8)
    assert (volume.masks.shape, volume.masks.dtype) == ((65, 128, 128), np.uint8)


def test_the_same_seed_gives_the_same_volume(volume):
    again = procedural.volume(11, nodules=6.0)

    np.testing.assert_array_equal(again.hu, volume.hu)
    np.testing.assert_array_equal(again.masks, volume.masks)


def test_labels_are_the_worst_of_the_masks(volume):
    assert set(np.unique(volume.masks)) == {0, 1, 2}
    np.testing.assert_array_equal(volume.labels, volume.masks.max(axis=(1, 2)))


def test_marked_cells_are_brighter_than_the_lung(volume):
    lung_hu = np.median(volume.hu[0][(volume.hu[0] > -950) & (volume.hu[0] < -700)])

    for label in (1, 2):
        assert np.median(volume.hu[0][volume.masks == label]) > lung_hu + 100


def test_the_maximum_is_never_below_the_mean(volume):
    assert (volume.hu[1] >= volume.hu[0]).all()


def test_lung_and_noise_are_those_of_chest_ct(volume):
    mean, peak = volume.hu[:, 20:45].astype(float)
    lung = (mean > -950) & (mean < -750)

    assert 0.05 < lung.mean() < 0.5
    assert -900 < np.median(mean[lung]) < -820
    assert 40 < np.median((peak - mean)[lung]) < 250


def test_a_patient_without_nodules_has_no_labels():
    volume = procedural.volume(12, nodules=0.0)

    assert not volume.labels.any()
    assert not volume.masks.any()
