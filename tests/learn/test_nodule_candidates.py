import numpy as np
import pytest

from lidcflow.errors import TrainingError
from lidcflow.learn.nodule_candidates import BESIDE, OTHER, SIDE, Ball, candidate_images, nodules_at, plane_images
from lidcflow.nodules.grid import Scan
from lidcflow.nodules.window import windowed


def scan(hu):
    return Scan(hu, -2.0 * np.arange(len(hu)), (1.0, 1.0))


def test_a_candidate_is_in_a_nodule_close_to_it_or_in_other_tissue():
    chest = scan(np.zeros((40, 60, 60), np.int16))
    places = np.array([[10.0, 20, 20], [10, 24, 20], [10, 30, 20], [30, 50, 50]])

    found = nodules_at(places, [Ball(np.array([10.0, 20, 20]), 5.0, 4)], chest)

    assert found.tolist() == [0, 0, BESIDE, OTHER]


def test_a_candidate_in_two_nodules_is_in_that_of_more_readers():
    chest = scan(np.zeros((4, 9, 9), np.int16))
    nodules = [Ball(np.array([1.0, 4, 4]), 4.0, 3), Ball(np.array([1.0, 5, 4]), 4.0, 1)]

    assert nodules_at(np.array([[1.0, 5, 4]]), nodules, chest).tolist() == [0]


def test_planes_show_the_place_in_their_middle_and_air_outside():
    hu = np.full((5, 9, 9), -500, np.int16)
    hu[1:4, 3:6, 3:6] = 100

    images = plane_images(scan(hu), np.array([[2.0, 4, 4]]))[0]

    middle = images[:, SIDE // 2 - 1 : SIDE // 2 + 1, SIDE // 2 - 1 : SIDE // 2 + 1]
    assert (middle == windowed(np.array([100]))).all()
    assert (images[:, 0] == 0).all()


def test_a_folder_without_series_names_it(tmp_path, ct_series):
    ct_series(tmp_path / "LIDC-IDRI" / "short", n=2)

    with pytest.raises(TrainingError, match="must lie in LIDC-IDRI, got none"):
        candidate_images(tmp_path / "LIDC-IDRI")


def test_a_series_that_nobody_read_is_not_trained_on(tmp_path, ct_series):
    with pytest.raises(TrainingError, match="must have readings in LIDC-IDRI"):
        candidate_images(ct_series(tmp_path / "LIDC-IDRI", n=10))
