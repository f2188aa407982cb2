"""A chest of boxes and balls: two lungs in a body, and nodules where a test puts them."""

import numpy as np

AIR, LUNG, TISSUE = -1000, -850, 40


def chest(balls=(), *, shape=(70, 100, 120), voxel_mm=(2.5, 2.8, 2.8), lungs=True):
    """Return HU of a chest with balls of (slice, row, column), a radius in mm and HU, and its heights."""
    hu = np.full(shape, AIR, np.int16)
    hu[:, 10:-10, 8:-8] = TISSUE
    if lungs:
        for columns in (slice(15, 52), slice(68, 105)):
            hu[6:-6, 22:78, columns] = LUNG
    grid = np.indices(shape)
    for centre, radius_mm, value in balls:
        far_mm = sum(((axis - at) * mm) ** 2 for axis, at, mm in zip(grid, centre, voxel_mm, strict=True)) ** 0.5
        hu[far_mm <= radius_mm] = value
    return hu, 100.0 - voxel_mm[0] * np.arange(shape[0]), voxel_mm[1:]
