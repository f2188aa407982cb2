"""One patient's chest: where it lies in the scan, how big it is, what it is made of."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from lidcflow.phantom.shapes import Field, FieldLike, Waves, random_waves

HALF_WIDTH_MM, HALF_DEPTH_MM, HEIGHT_MM = 140.0, 100.0, 270.0
"""Inner half axes and height of the standard chest that all anatomy is written for."""

LONGEST_MM = 340.0
"""Height of the longest lungs."""

NO_BUMPS = np.zeros((0, 5))


@dataclass(frozen=True)
class ChestFrame:
    """Position of the inner chest: x to the patient's left, y to the back, depth below the top of the scan.

    Attributes
    ----------
    x_mm, y_mm : float
        Centre of the chest, from the centre of the image.
    apex_mm, base_mm : float
        Depth of the highest and of the lowest lung.
    half_width_mm, half_depth_mm : float
        Inner half axes of the chest at its widest.
    """

    x_mm: float
    y_mm: float
    apex_mm: float
    base_mm: float
    half_width_mm: float
    half_depth_mm: float

    @property
    def scales(self) -> tuple[float, float, float]:
        """Size along x, y and z relative to the standard chest."""
        height = (self.base_mm - self.apex_mm) / HEIGHT_MM
        return self.half_width_mm / HALF_WIDTH_MM, self.half_depth_mm / HALF_DEPTH_MM, height

    def standard(self, x: FieldLike, y: FieldLike, depth_mm: FieldLike) -> tuple[FieldLike, FieldLike, FieldLike]:
        """Convert scan positions in mm to those of the standard chest."""
        sx, sy, sz = self.scales
        return (x - self.x_mm) / sx, (y - self.y_mm) / sy, (depth_mm - self.apex_mm) / sz

    def scan(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert (n, 3) standard positions (x, y, z) to scan positions, both in mm."""
        return np.asarray(points * np.array(self.scales) + np.array([self.x_mm, self.y_mm, self.apex_mm]), np.float64)


@dataclass(frozen=True, eq=False)
class Chest:
    """A patient: his frame, build and tissues.

    Attributes
    ----------
    frame : ChestFrame
        Position and size.
    fat_mm : float
        Thickness of the fat below the skin.
    breasts, heart, dome : float
        Size of breasts (0 none), heart (1 usual) and diaphragm domes (1 usual).
    contrast : float
        0 none to 1: how far contrast medium lifts blood and organs.
    lung_hu, gradient_hu : float
        Density of the lung, and how much denser its back is than its middle.
    emphysema : float
        0 none to 1.
    warp_x, warp_y, warp_size_mm, mottle, strands : Waves, Waves, float, Waves, Waves
        What makes no two chests alike: bent outlines, uneven lung, strands of fat.
    rib_phase : float
        Where along z the ribs begin, 0 to 1 of their spacing.
    bumps : (n_bumps, 5) array
        x, y, depth, height and reach in mm of the places where the lung is pushed outwards.
    """

    frame: ChestFrame
    fat_mm: float
    breasts: float
    heart: float
    dome: float
    contrast: float
    lung_hu: float
    gradient_hu: float
    emphysema: float
    rib_phase: float
    warp_size_mm: float
    warp_x: Waves
    warp_y: Waves
    mottle: Waves
    strands: Waves
    bumps: NDArray[np.float64] = field(default_factory=lambda: NO_BUMPS)

    def standard(self, x: FieldLike, y: FieldLike, depth_mm: FieldLike) -> tuple[Field, Field, FieldLike]:
        """Convert scan positions in mm to the standard chest, bent as this patient is."""
        sx, sy, sz = self.frame.standard(x, y, depth_mm)
        bent_x = sx + self.warp_size_mm * self.warp_x.at(sx, sy, sz)
        bent_y = sy + self.warp_size_mm * self.warp_y.at(sx, sy, sz)
        return bent_x, bent_y, sz

    def bump_mm(self, x: FieldLike, y: FieldLike, depth_mm: FieldLike) -> FieldLike:
        """Return how far the lung is pushed outwards at scan positions, in mm."""
        push: FieldLike = 0.0
        for bump_x, bump_y, bump_depth, height, reach in self.bumps:
            if np.all(np.abs(np.asarray(depth_mm) - bump_depth) > 3 * reach):
                continue
            gap = (x - bump_x) ** 2 + (y - bump_y) ** 2 + (depth_mm - bump_depth) ** 2
            push = push + height * np.exp(gap * (-0.5 / reach**2))
        return push


def random_frame(rng: Generator, fov_mm: float, extent_mm: float) -> ChestFrame:
    """Draw where the chest lies, as technologists frame it: the lungs fill most of the image and the scan."""
    half_width = float(np.clip(rng.normal(0.375, 0.03) * fov_mm, 95, 175))
    x_mm, y_mm = rng.normal(0, 0.012) * fov_mm, rng.normal(0.03, 0.018) * fov_mm
    apex_mm, base_mm = _random_ends(rng, extent_mm)
    half_depth = half_width * float(np.clip(rng.normal(0.73, 0.05), 0.6, 0.86))
    return ChestFrame(x_mm, y_mm, apex_mm, base_mm, half_width, half_depth)


def _random_ends(rng: Generator, extent_mm: float) -> tuple[float, float]:
    """Depth of the apex and of the base; in a scan of chest and abdomen the lungs fill a part of the usual height."""
    apex_mm = float(np.clip(rng.normal(0.075, 0.03), 0.005, 0.16)) * extent_mm
    base_mm = float(np.clip(rng.normal(0.89, 0.05), 0.76, 1.0)) * extent_mm
    if base_mm - apex_mm > LONGEST_MM:
        apex_mm = float(rng.uniform(apex_mm, base_mm - LONGEST_MM))
        base_mm = apex_mm + LONGEST_MM
    return apex_mm, base_mm


def random_chest(rng: Generator, frame: ChestFrame, *, contrast_used: bool) -> Chest:
    """Draw build and tissues of a patient."""
    return Chest(
        frame=frame,
        fat_mm=float(np.clip(rng.gamma(3.5, 4.0), 3, 38)),
        breasts=float(rng.uniform(0.5, 1.2)) if rng.random() < 0.45 else 0.0,
        heart=float(rng.normal(1.0, 0.07)),
        dome=float(rng.normal(1.0, 0.12)),
        contrast=float(rng.uniform(0.4, 1.0)) if contrast_used else 0.0,
        lung_hu=float(rng.normal(-872, 16)),
        gradient_hu=float(rng.uniform(10, 55)),
        emphysema=float(rng.uniform(0.3, 1.0)) if rng.random() < 0.3 else 0.0,
        rib_phase=float(rng.random()),
        warp_size_mm=float(rng.uniform(3, 6)),
        warp_x=random_waves(rng, 70, 260),
        warp_y=random_waves(rng, 70, 260),
        mottle=random_waves(rng, 12, 45, n_waves=7),
        strands=random_waves(rng, 14, 50, n_waves=7),
    )
