import numpy as np
import pytest

from lidcflow.nodules.grid import Scan, work_grid


def scan_of(shape, voxel_mm, value=0):
    return Scan(np.full(shape, value, np.int16), 10.0 - voxel_mm[0] * np.arange(shape[0]), voxel_mm[1:])


@pytest.mark.parametrize(
    ("voxel_mm", "expected_mm"),
    [
        ((2.5, 0.7, 0.7), (2.5, 1.4, 1.4)),
        ((0.625, 0.7, 0.7), (1.25, 1.4, 1.4)),
        ((5.0, 1.4, 1.4), (5.0, 1.4, 1.4)),
        ((1.25, 0.9, 0.9), (1.25, 1.40625, 1.40625)),
    ],
)
def test_voxels_are_about_one_and_a_half_millimetres_or_the_scans_own(voxel_mm, expected_mm):
    grid = work_grid(scan_of((8, 50, 50), voxel_mm))

    np.testing.assert_allclose(grid.voxel_mm, expected_mm, rtol=0.01)


def test_a_voxel_is_the_mean_of_those_in_it_with_bone_as_soft_tissue():
    scan = scan_of((2, 2, 4), (2.5, 0.7, 0.7))
    scan.hu[0] = [[0, 100, -1024, 3071], [100, 200, -1024, -1024]]

    grid = work_grid(scan)

    np.testing.assert_array_equal(grid.hu[0], [[100, -700]])


def test_places_of_the_grid_are_middles_of_its_voxels_in_the_scan():
    grid = work_grid(scan_of((4, 8, 8), (0.625, 0.7, 0.7)))

    np.testing.assert_array_equal(grid.scan_index(np.array([[0.0, 1.0, 1.5]])), [[0.5, 2.5, 3.5]])


def test_heights_and_indices_are_each_others_reverse_beyond_the_scan_too():
    scan = scan_of((4, 2, 2), (2.5, 1.0, 1.0))
    index = np.array([-2.0, 0.0, 1.25, 3.0, 7.0])

    np.testing.assert_allclose(scan.z_at(index), 10 - 2.5 * index)
    np.testing.assert_allclose(scan.slice_index(scan.z_at(index)), index)
