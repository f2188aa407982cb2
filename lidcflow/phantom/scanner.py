"""The nominal scanner: what the headers state, and the noise that follows from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.random import Generator
from numpy.typing import NDArray

from lidcflow.phantom.chest import Chest
from lidcflow.phantom.grid import Grid
from lidcflow.phantom.render import CleanSlice
from lidcflow.phantom.shapes import smooth_step

TILES = 6


MODELS = ("Phantom 4", "Phantom 16", "Phantom 64")

MAS = (20, 40, 80, 120, 200, 300)

KVP = (100, 120, 120, 120, 140)

NOISE_HU = 11.0
"""Noise of an average chest at 100 mAs, 120 kVp and 2.5 mm with the standard kernel."""

GRAIN_HU, GRAIN_MM, GRAIN_SKEW = 30.0, 1.4, 0.9


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


@dataclass(frozen=True)
class Protocol:
    """Nominal acquisition of a series.

    Attributes
    ----------
    model : str
        Manufacturer's Model Name (0008,1090).
    kernel : Kernel
        Reconstruction kernel.
    kvp, mas : int
        Tube voltage, and tube current times time.
    thickness_mm : float
        Slice thickness.
    """

    model: str
    kernel: Kernel
    kvp: int
    mas: int
    thickness_mm: float

    def noise_hu(self, chest: Chest) -> float:
        """Standard deviation in HU that dose, thickness, kernel and the patient's girth leave in the chest."""
        girth = chest.frame.half_width_mm / 140.0 + chest.fat_mm / 60.0 - 0.2
        dose = self.mas / 100.0 * (self.kvp / 120.0) ** 2.5 * self.thickness_mm / 2.5
        return float(np.clip(NOISE_HU * self.kernel.noise * girth / np.sqrt(dose), 4.0, 60.0))


def random_protocol(rng: Generator, thickness_mm: float) -> Protocol:
    """Draw an acquisition; thin slices come with sharp kernels more often."""
    names = tuple(KERNELS)
    shares = (0.2, 0.5, 0.3) if thickness_mm < 2 else (0.25, 0.6, 0.15)
    return Protocol(
        model=MODELS[rng.integers(len(MODELS))],
        kernel=KERNELS[names[rng.choice(len(names), p=shares)]],
        kvp=KVP[rng.integers(len(KVP))],
        mas=MAS[rng.integers(len(MAS))],
        thickness_mm=thickness_mm,
    )


class Detector:
    """Adds the noise of a protocol, and the fine grain of the lung, to clean slices.

    Parameters
    ----------
    rng : Generator
        Draws the noise; the same state gives the same noise.
    protocol : Protocol
        Dose, kernel and thickness.
    chest : Chest
        The patient.
    grid : Grid
        Pixels of the slices.
    depths_mm : (slices,) array
        Depths of the slices below the top of the scan.
    """

    def __init__(
        self, rng: Generator, protocol: Protocol, chest: Chest, grid: Grid, depths_mm: NDArray[np.float64]
    ) -> None:
        shape = (len(depths_mm), grid.size)
        spacing_mm = float(np.median(np.diff(depths_mm)))
        overlap = float(np.clip(protocol.thickness_mm / spacing_mm - 0.8, 0.0, 1.0)) / 2
        spectrum = kernel_spectrum(grid.size, grid.spacing_mm, protocol.kernel)
        grain = grain_spectrum(grid.size, grid.spacing_mm, GRAIN_MM * (1.4 / protocol.kernel.edge_mm) ** -0.5)
        self._noise: NoiseSource = noise_source(rng, shape, spectrum, along_z=overlap)
        self._grain: NoiseSource = noise_source(rng, shape, grain, along_z=0.0, skew=GRAIN_SKEW)
        self._noise_hu = _noise_map(chest, grid) * np.float32(protocol.noise_hu(chest))
        self._by_slice = _slice_factors(chest, depths_mm)
        self._grain_hu = np.float32(GRAIN_HU * np.sqrt(2.5 / max(protocol.thickness_mm, 1.0)) ** 0.7)

    def expose(self, clean: CleanSlice, index: int) -> NDArray[np.float32]:
        """Return a slice with its noise, in HU; the clean slice has the detector's grid."""
        noise = self._noise.slice_noise(index)
        noise *= self._noise_hu
        noise *= self._by_slice[index]
        grain = self._grain.slice_noise(index)
        grain *= self._grain_hu
        grain *= clean.lung
        noise += grain
        noise += clean.hu
        return noise


def _noise_map(chest: Chest, grid: Grid) -> NDArray[np.float32]:
    """Most noise in the middle, where most rays are weakened; little in the air around."""
    x, y = grid.lines_mm()[None, :], grid.lines_mm()[:, None]
    u = (x - chest.frame.x_mm) / (1.25 * chest.frame.half_width_mm)
    v = (y - chest.frame.y_mm) / (1.45 * chest.frame.half_depth_mm)
    return (1.15 - 0.85 * smooth_step(u * u + v * v, 0.0, 1.6)).astype(np.float32)


def _slice_factors(chest: Chest, depths_mm: NDArray[np.float64]) -> NDArray[np.float32]:
    """More noise where the shoulders and the liver lie in the beam."""
    z = (depths_mm - chest.frame.apex_mm) / chest.frame.scales[2]
    factors = 1.0 + 0.6 * (1.0 - smooth_step(z, -10.0, 50.0)) + 0.3 * smooth_step(z, 170.0, 240.0)
    return factors.astype(np.float32)
