import numpy as np
import pytest

from lidcflow.nodules.cubes import CUBE_MM, CUBE_VOXELS, MOST_CUBES, NO_CUBES, cut_cubes
from lidcflow.nodules.grid import Scan
from lidcflow.pixels.hounsfield import AIR_HU

MIDDLE = slice(CUBE_VOXELS // 2 - 1, CUBE_VOXELS // 2 + 1)


def scan_of(hu, voxel_mm=(0.75, 0.75, 0.75), z_mm=None):
    return Scan(hu, -voxel_mm[0] * np.arange(len(hu), dtype=float) if z_mm is None else z_mm, voxel_mm[1:])


def cube_at(scan, place, diameter_mm=8.0):
    return cut_cubes(scan, np.array([place], float), np.array([diameter_mm]), np.ones(1))


def test_a_cube_runs_along_slices_rows_and_columns_about_its_place():
    k, i, j = np.indices((80, 80, 80))

    (cube,) = cube_at(scan_of((k + 2 * i + 4 * j - 400).astype(np.int16)), (40, 40, 40)).hu

    assert cube[MIDDLE, MIDDLE, MIDDLE].mean() == 7 * 40 - 400
    steps = [int(cube.take(30, axis)[10, 10]) - int(cube.take(20, axis)[10, 10]) for axis in range(3)]
    assert steps == [10, 20, 40]


def test_a_cube_of_a_large_candidate_is_twice_as_wide():
    hu = np.full((120, 120, 120), -1000, np.int16)
    hu[50:70, 50:70, 50:70] = 0
    scan = scan_of(hu)

    small, large = (cube_at(scan, (59.5, 59.5, 59.5), diameter_mm) for diameter_mm in (21.9, 22.0))

    assert (small.voxel_mm[0], large.voxel_mm[0]) == CUBE_MM
    assert [(cubes.hu > -500).sum() for cubes in (small, large)] == [8000, 1000]


def test_slices_are_as_far_apart_as_they_are():
    hu = np.full((30, 60, 60), -1000, np.int16)
    hu[10:12] = 0
    z_mm = -np.concatenate([np.arange(10) * 3.0, 30 + np.arange(20) * 1.5])

    (cube,) = cube_at(scan_of(hu, z_mm=z_mm), (10.5, 30, 30)).hu

    profile = cube[:, 24, 24].astype(float) + 1000
    assert profile.sum() / 1000 * 0.75 == pytest.approx(3.0 / 2 + 1.5 + 1.5 / 2, abs=0.1)


def test_what_is_outside_of_the_scan_is_air():
    (cube,) = cube_at(scan_of(np.zeros((60, 60, 60), np.int16)), (0, 30, 59)).hu

    assert cube[0, 24, 0] == cube[40, 24, 40] == AIR_HU
    assert cube[40, 24, 10] == 0


def test_candidates_that_the_detector_rates_highest_get_cubes():
    n = MOST_CUBES + 5
    places = np.full((n, 3), 30.0)

    cubes = cut_cubes(scan_of(np.zeros((60, 60, 60), np.int16)), places, np.full(n, 6.0), np.arange(n) / n)

    assert cubes.candidates.tolist() == list(range(5, n))
    assert cubes.of(4) is None
    assert cubes.of(5)[1] == CUBE_MM[0]


def test_no_candidates_have_no_cubes():
    cubes = cut_cubes(scan_of(np.zeros((60, 60, 60), np.int16)), np.empty((0, 3)), np.empty(0), np.empty(0))

    assert cubes.hu.shape == NO_CUBES.hu.shape
