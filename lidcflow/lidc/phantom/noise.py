"""Reconstruction noise: correlated in the plane by the kernel, along z by the slice thickness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.random import Generator
from numpy.typing import NDArray

TILES = 6


@dataclass(frozen=True)
class Kernel:
    """A reconstruction kernel.

    Attributes
    ----------
    name : str
        Convolution Kernel (0018,1210).
    cutoff_per_mm : float
        Where the noise spectrum falls off, in line pairs per mm.
    noise : float
        Noise relative to the standard kernel.
    edge_mm : float
        Width that an edge is blurred over.
    """

    name: str
    cutoff_per_mm: float
    noise: float
    edge_mm: float


KERNELS = {
    "SOFT": Kernel("SOFT", 0.30, 0.75, 1.7),
    "STANDARD": Kernel("STANDARD", 0.36, 1.0, 1.4),
    "LUNG": Kernel("LUNG", 0.55, 2.1, 1.1),
}


@dataclass(frozen=True, eq=False)
class NoiseSource:
    """Unit noise for each slice of a series, cut from a few large tiles.

    Attributes
    ----------
    tiles : (n_tiles, size, size) array of float32
        Periodic noise of standard deviation 1.
    picks : (slices + 1, 3) array
        Tile, row and column that each slice's own share is cut from.
    along_z : float
        Correlation of neighbouring slices, 0 to 0.5.
    """

    tiles: NDArray[np.float32]
    picks: NDArray[np.int64]
    along_z: float

    def slice_noise(self, index: int) -> NDArray[np.float32]:
        """Return the (size, size) unit noise of one slice."""
        noise = self._cut(index)
        if self.along_z > 0:
            other = float(np.sqrt(0.5 - np.sqrt(0.25 - self.along_z**2)))
            noise *= np.float32(np.sqrt(1.0 - other**2))
            noise += self._cut(index + 1) * np.float32(other)
        return noise

    def _cut(self, index: int) -> NDArray[np.float32]:
        tile, row, column = self.picks[index]
        return np.roll(self.tiles[tile], (int(row), int(column)), (0, 1))


def noise_source(
    rng: Generator, shape: tuple[int, int], spectrum: NDArray[np.float32], *, along_z: float, skew: float = 0.0
) -> NoiseSource:
    """Make the noise of a series.

    Parameters
    ----------
    shape : (int, int)
        Slices, and rows (which are the columns).
    spectrum : (size, size // 2 + 1) array
        Amplitude of the noise by frequency.
    along_z : float
        Correlation of neighbouring slices, 0 to 0.5.
    skew : float
        0 for normal noise; above, bright specks on an even ground.
    """
    slices, size = shape
    tiles = np.stack([_tile(rng, size, spectrum, skew) for _ in range(TILES)])
    picks = np.stack([rng.integers(0, high, slices + 1) for high in (TILES, size, size)], axis=1)
    return NoiseSource(tiles, picks, min(max(along_z, 0.0), 0.5))


def kernel_spectrum(size: int, spacing_mm: float, kernel: Kernel) -> NDArray[np.float32]:
    """Amplitude of filtered back projection's noise: a ramp that the kernel cuts off.

    References
    ----------
    S. J. Riederer, N. J. Pelc, D. A. Chesler, The noise power spectrum in computed x-ray tomography, 1978.
    """
    f = _frequencies(size, spacing_mm)
    return np.sqrt(f + 0.02).astype(np.float32) * np.exp(-0.5 * (f / kernel.cutoff_per_mm) ** 2).astype(np.float32)


def grain_spectrum(size: int, spacing_mm: float, grain_mm: float) -> NDArray[np.float32]:
    """Amplitude of lung texture, fine and coarse: what is finer than the vessels that are drawn one by one."""
    f = _frequencies(size, spacing_mm)
    fine, coarse = (np.exp(-0.5 * (f * (np.pi * width_mm)) ** 2) for width_mm in (grain_mm, 3 * grain_mm))
    return np.asarray(fine + 2.2 * coarse, np.float32)


def _frequencies(size: int, spacing_mm: float) -> NDArray[np.float64]:
    down, along = np.fft.fftfreq(size, spacing_mm), np.fft.rfftfreq(size, spacing_mm)
    return np.asarray(np.hypot(down[:, None], along), np.float64)


def _tile(rng: Generator, size: int, spectrum: NDArray[np.float32], skew: float) -> NDArray[np.float32]:
    white = rng.standard_normal((size, size), dtype=np.float32)
    tile = scipy.fft.irfft2(scipy.fft.rfft2(white, workers=1) * spectrum, s=(size, size), workers=1)
    tile /= tile.std()
    if skew:
        tile = np.exp(np.float64(skew) * tile).astype(np.float32)
    tile -= tile.mean()
    return np.asarray(tile / tile.std(), dtype=np.float32)
