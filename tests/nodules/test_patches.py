import numpy as np

from lidcflow.nodules.grid import Scan
from lidcflow.nodules.patch_shape import PATCH_PIXELS
from lidcflow.nodules.patches import cut_patches

MIDDLE = slice(PATCH_PIXELS // 2 - 1, PATCH_PIXELS // 2 + 1)


def scan_of(hu, voxel_mm=(0.73, 0.73, 0.73)):
    return Scan(hu, -voxel_mm[0] * np.arange(len(hu), dtype=float), voxel_mm[1:])


def test_planes_run_along_slices_rows_and_columns():
    k, i, j = np.indices((120, 120, 120))
    scan = scan_of((k + 2 * i + 4 * j - 400).astype(np.int16))

    (narrow, _wide), *_ = cut_patches(scan, np.array([[60.0, 60.0, 60.0]]))

    middle = 7 * 60 - 400
    assert [plane[MIDDLE, MIDDLE].mean() for plane in narrow] == [middle] * 3
    steps = [(int(plane[30, 20] - plane[20, 20]), int(plane[20, 30] - plane[20, 20])) for plane in narrow]
    assert steps == [(20, 40), (10, 40), (10, 20)]


def test_a_wide_patch_is_twice_as_wide_about_the_same_place():
    hu = np.full((120, 120, 120), -1000, np.int16)
    hu[50:70, 50:70, 50:70] = 0

    ((narrow, wide),) = cut_patches(scan_of(hu), np.array([[59.5, 59.5, 59.5]]))

    assert [(plane > -500).sum() for plane in narrow] == [400] * 3
    assert [(plane > -500).sum() for plane in wide] == [100] * 3


def test_slices_are_as_far_apart_as_they_are():
    hu = np.full((40, 60, 60), -1000, np.int16)
    hu[18:22] = 0

    ((narrow, _wide),) = cut_patches(scan_of(hu, (2.5, 0.73, 0.73)), np.array([[19.5, 30.0, 30.0]]))

    assert (narrow[0] > -500).all()
    assert abs((narrow[1] > -500).sum(axis=0) * 0.73 - 10).max() < 0.8


def test_what_is_outside_of_the_scan_is_air():
    scan = scan_of(np.zeros((3, 8, 8), np.int16))

    patches = cut_patches(scan, np.array([[0.0, 0.0, 0.0], [-40.0, 90.0, 3.0]]))

    assert (patches[0, 0, 0, :20, :20] == -1024).all()
    assert (patches[0, 0, 0, 25:30, 25:30] == 0).all()
    assert (patches[1] == -1024).all()
    assert patches.dtype == np.int16


def test_no_places_have_no_patches():
    assert cut_patches(scan_of(np.zeros((3, 8, 8), np.int16)), np.empty((0, 3))).shape == (0, 2, 3, 48, 48)
