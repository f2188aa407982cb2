"""The window of densities that the detector sees, and its patches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LOWEST_HU, HIGHEST_HU = -1000, 400
"""The window of the 8-bit patches of LUNA16's candidates; all other images are brought to it."""

SIZE = 48
"""Rows and columns of a patch that the network sees."""

PIXEL_MM = 0.73
"""Distance of their pixels, so that they are 35 mm wide; the 8-bit patches come at 0.46 to 0.98 mm, unknown which."""


def windowed(hu: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Bring HU to 0 (air) to 255, as the 8-bit patches are.

    Parameters
    ----------
    hu : (...) array of int
        Densities in HU.

    Examples
    --------
    >>> windowed(np.array([-2000, -1000, -300, 400, 3000]))
    array([  0,   0, 128, 255, 255], dtype=uint8)
    """
    share = (hu.astype(np.float32) - LOWEST_HU) / (HIGHEST_HU - LOWEST_HU)
    grey: NDArray[np.uint8] = (share.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    return grey


def middle(patches: NDArray[np.uint8], size: int = SIZE) -> NDArray[np.uint8]:
    """Return the middle `size` x `size` pixels of (..., rows, columns) patches.

    Examples
    --------
    >>> middle(np.arange(16, dtype=np.uint8).reshape(4, 4), 2)
    array([[ 5,  6],
           [ 9, 10]], dtype=uint8)
    """
    top, left = ((side - size) // 2 for side in patches.shape[-2:])
    return patches[..., top : top + size, left : left + size]
