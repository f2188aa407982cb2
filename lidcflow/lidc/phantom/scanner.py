"""The nominal scanner: what the headers state, and the noise that follows from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from lidcflow.lidc.phantom.chest import Chest
from lidcflow.lidc.phantom.grid import Grid
from lidcflow.lidc.phantom.noise import KERNELS, Kernel, NoiseSource, grain_spectrum, kernel_spectrum, noise_source
from lidcflow.lidc.phantom.render import CleanSlice
from lidcflow.lidc.phantom.shapes import smooth_step

MODELS = ("Phantom 4", "Phantom 16", "Phantom 64")
MAS = (20, 40, 80, 120, 200, 300)
KVP = (100, 120, 120, 120, 140)
NOISE_HU = 11.0
"""Noise of an average chest at 100 mAs, 120 kVp and 2.5 mm with the standard kernel."""

GRAIN_HU, GRAIN_MM, GRAIN_SKEW = 30.0, 1.4, 0.9


@dataclass(frozen=True)
class Protocol:
    """How a series was nominally acquired.

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
