import numpy as np
import pytest

from lidcflow.nodules.blobs import BALL, find_blobs

SIGMAS = (1.6, 2.2, 3.1, 4.4, 6.2)


def volume(radius, centre=(20, 22, 24), side=44):
    far = sum((axis - at) ** 2 for axis, at in zip(np.indices((side,) * 3), centre, strict=True)) ** 0.5
    return np.where(far <= radius, 0, -850).astype(np.float32)


def blobs_of(hu, mask=None):
    mask = np.ones(hu.shape, bool) if mask is None else mask
    return find_blobs(hu, mask, np.ones(3), sigmas_mm=SIGMAS, at_least=12)


@pytest.mark.parametrize("radius", [3, 5, 8])
def test_a_ball_is_a_blob_at_its_place_and_of_its_size(radius):
    found = blobs_of(volume(radius))

    best = int(found.dot.argmax())
    assert np.abs(found.index[best] - (20, 22, 24)).max() <= 1
    assert found.sigma_mm[best] * BALL == pytest.approx(radius, rel=0.25)
    assert found.curvatures[best] == pytest.approx(found.curvatures[best].mean(), rel=0.05)


def test_a_tube_is_no_dot():
    tube = np.full((44, 44, 44), -850, np.float32)
    tube[:, 20:25, 20:25] = 0

    found = blobs_of(tube)

    assert not len(found) or found.dot.max() < 0.02 * blobs_of(volume(3)).dot.max()


def test_nothing_is_found_in_an_even_volume_and_outside_of_the_mask():
    even = np.zeros((20, 20, 20), np.float32)

    assert len(blobs_of(even)) == 0
    assert len(blobs_of(volume(5), np.zeros((44, 44, 44), bool))) == 0


def test_of_equal_neighbours_one_is_the_peak_and_its_place_is_between_them():
    twin = volume(3, centre=(20, 22, 24.5))

    at_first = find_blobs(twin, np.ones(twin.shape, bool), np.ones(3), sigmas_mm=(1.6,), at_least=100)

    assert len(at_first) == 1
    assert at_first.index[0].tolist() == [20, 22, 24.5]
