"""Pixels of a slice, and the coarse lattice that anatomy is computed on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LATTICE_MM = 3.0


@dataclass(frozen=True)
class Grid:
    """Square pixels about the centre of the image.

    Attributes
    ----------
    size : int
        Rows and columns.
    spacing_mm : float
        Distance of pixel centres.
    """

    size: int
    spacing_mm: float

    @property
    def first_mm(self) -> float:
        """Position of the centre of the first pixel, along rows as along columns."""
        return -0.5 * (self.size - 1) * self.spacing_mm

    def position(self, index: NDArray[np.int64]) -> NDArray[np.float64]:
        """Convert pixel indices to positions in mm."""
        return np.asarray(index * self.spacing_mm + self.first_mm, np.float64)

    def index(self, position_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert positions in mm to fractional pixel indices."""
        return np.asarray((position_mm - self.first_mm) / self.spacing_mm, np.float64)

    def lines_mm(self) -> NDArray[np.float64]:
        """Positions of all rows, which are those of all columns."""
        return self.position(np.arange(self.size))


class Enlarger:
    """Enlarge fields from the lattice to the pixels of a grid, linearly.

    Parameters
    ----------
    grid : Grid
        The pixels.
    step_mm : float
        Distance of the lattice's rows and columns.

    Attributes
    ----------
    lines_mm : (n,) array
        Positions of the lattice's rows, which are those of its columns.
    size : int
        Rows and columns of the grid.
    """

    def __init__(self, grid: Grid, step_mm: float = LATTICE_MM) -> None:
        n = int(np.ceil((grid.size - 1) * grid.spacing_mm / step_mm)) + 2
        self.lines_mm = grid.first_mm + step_mm * np.arange(n)
        self.size = grid.size
        place = (grid.lines_mm() - grid.first_mm) / step_mm
        self._low = np.minimum(place.astype(np.intp), n - 2)
        self._share = (place - self._low).astype(np.float32)

    def __call__(self, field: NDArray[np.float32]) -> NDArray[np.float32]:
        """Enlarge an (n, n) field to (size, size)."""
        wide = field[:, self._low]
        wide += (field[:, self._low + 1] - wide) * self._share
        steps = wide[1:] - wide[:-1]
        tall = steps[self._low]
        tall *= self._share[:, None]
        tall += wide[self._low]
        return np.asarray(tall)
