"""Draw the slices of a scene: tissue, bone, lung, vessels, airways, nodules, then the air around."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from lidcflow.phantom.anatomy import PlaneFields, plane_fields
from lidcflow.phantom.capsules import capsule_cover
from lidcflow.phantom.chest import Chest
from lidcflow.phantom.grid import Enlarger, Grid
from lidcflow.phantom.lesions import Lesion
from lidcflow.phantom.paint import paint_lesion
from lidcflow.phantom.vessels import Tubes

AIR_HU, LUMEN_HU, MARROW_HU, CORTEX_HU = -1000.0, -990.0, 190.0, 620.0
LATTICE_STEP_MM = 4.0


class CleanSlice(NamedTuple):
    """A slice before noise.

    Attributes
    ----------
    hu : (size, size) array of float32
        Density.
    lung : (size, size) array of float32
        Share of each pixel that is lung, 0 to 1.
    """

    hu: NDArray[np.float32]
    lung: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A chest on a coarse lattice, from which any plane is interpolated.

    Attributes
    ----------
    fields : (depths, 5, n, n) array of float32
        The fields of `PlaneFields` on lattice planes, the first at the top of the scan.
    enlarge : Enlarger
        From the lattice to pixels.
    """

    fields: NDArray[np.float32]
    enlarge: Enlarger

    def at(self, depth_mm: float) -> PlaneFields:
        """Interpolate the fields of one plane and enlarge them to pixels."""
        place = float(np.clip(depth_mm / LATTICE_STEP_MM, 0, len(self.fields) - 1.001))
        low, share = int(place), np.float32(place % 1)
        return PlaneFields(*map(self.enlarge, self.fields[low] + share * (self.fields[low + 1] - self.fields[low])))


def sample_anatomy(chest: Chest, enlarge: Enlarger, extent_mm: float) -> Anatomy:
    """Compute a chest's fields on lattice planes that span a scan.

    Parameters
    ----------
    chest : Chest
        The patient.
    enlarge : Enlarger
        Of the grid that slices are drawn on.
    extent_mm : float
        Depth of the lowest slice.
    """
    lines_mm = enlarge.lines_mm
    depths = np.arange(0.0, extent_mm + 2 * LATTICE_STEP_MM, LATTICE_STEP_MM)
    x, y = lines_mm[None, :], lines_mm[:, None]
    fields = np.empty((len(depths), len(PlaneFields._fields), len(lines_mm), len(lines_mm)), np.float32)
    for plane, depth_mm in zip(fields, depths, strict=True):
        plane[:] = plane_fields(chest, x, y, float(depth_mm))
    return Anatomy(fields, enlarge)


def lung_volume_ml(anatomy: Anatomy) -> float:
    """Volume of the lungs within the image."""
    step = anatomy.enlarge.lines_mm[1] - anatomy.enlarge.lines_mm[0]
    nodes = np.count_nonzero(anatomy.fields[:, PlaneFields._fields.index("lung")] < 0)
    return float(nodes * step * step * LATTICE_STEP_MM / 1000)


def random_lung_points(rng: Generator, anatomy: Anatomy, n: int) -> NDArray[np.float64]:
    """Draw (n, 3) positions in the lung: x, y and depth in mm."""
    lines_mm = anatomy.enlarge.lines_mm
    step = lines_mm[1] - lines_mm[0]
    planes, rows, columns = np.nonzero(anatomy.fields[:, PlaneFields._fields.index("lung")] < -3.0)
    chosen = rng.integers(0, len(planes), n)
    nodes = np.stack([lines_mm[columns[chosen]], lines_mm[rows[chosen]], planes[chosen] * LATTICE_STEP_MM], axis=1)
    return np.asarray(nodes + rng.uniform(-0.5, 0.5, (n, 3)) * np.array([step, step, LATTICE_STEP_MM]), np.float64)


@dataclass(frozen=True, eq=False)
class Scene:
    """All that is in a scan."""

    chest: Chest
    anatomy: Anatomy
    tubes: Tubes
    lesions: Sequence[Lesion]
    vessel_hu: float


class Painter:
    """Draws the slices of a scene on one grid.

    Parameters
    ----------
    scene : Scene
        What to draw.
    grid : Grid
        Pixels of the slices. The anatomy may be drawn on a grid some whole times coarser: vessels and
        nodules, whose height matters, are drawn on this one all the same.
    edge_mm : float
        Width that the reconstruction blurs an edge over.
    thickness_mm : float
        Slice thickness.
    """

    def __init__(self, scene: Scene, grid: Grid, *, edge_mm: float, thickness_mm: float) -> None:
        self._scene = scene
        self._grid = grid
        self._repeat = grid.size // scene.anatomy.enlarge.size
        self._edge_mm = max(edge_mm, self._repeat * grid.spacing_mm)
        self._thickness_mm = thickness_mm
        self._around = _table(grid, scene.chest)

    def slice_at(self, depth_mm: float) -> CleanSlice:
        """Draw the slice at a depth below the top of the scan."""
        fields = self._scene.anatomy.at(depth_mm)
        hu = fields.tissue_hu
        self._lay(hu, fields.bone, _bone_hu(fields.bone))
        lung = self._lay(hu, fields.lung, fields.lung_hu)
        inside = _cover(fields.body, self._edge_mm)
        hu, lung, inside = (_repeated(plane, self._repeat) for plane in (hu, lung, inside))
        self._draw_tubes(hu, depth_mm)
        for lesion in self._scene.lesions:
            paint_lesion(hu, lesion, self._grid, depth_mm, self._thickness_mm)
        hu -= self._around
        hu *= inside
        hu += self._around
        return CleanSlice(hu, lung)

    def _lay(
        self, hu: NDArray[np.float32], distance: NDArray[np.float32], over_hu: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Lay a tissue over what is there, in place; return its cover."""
        cover = _cover(distance, self._edge_mm)
        over_hu -= hu
        over_hu *= cover
        hu += over_hu
        return cover

    def _draw_tubes(self, hu: NDArray[np.float32], depth_mm: float) -> None:
        tubes = self._scene.tubes
        layers = ((tubes.vessels, self._scene.vessel_hu, 1), (tubes.walls, -150.0, 1), (tubes.lumens, LUMEN_HU, -1))
        for capsules, tube_hu, sign in layers:
            pixels, cover = capsule_cover(capsules, self._grid, depth_mm, self._thickness_mm)
            below = hu.ravel()[pixels]
            change = np.float32(tube_hu) - below
            change = np.maximum(change, 0) if sign > 0 else np.minimum(change, 0)
            hu.ravel()[pixels] = below + cover * change


def _repeated(plane: NDArray[np.float32], times: int) -> NDArray[np.float32]:
    """Split each pixel into times x times pixels."""
    return plane if times == 1 else plane.repeat(times, axis=0).repeat(times, axis=1)


def _cover(distance: NDArray[np.float32], edge_mm: float) -> NDArray[np.float32]:
    cover = distance * np.float32(-1.0 / edge_mm)
    cover += np.float32(0.5)
    return np.clip(cover, np.float32(0), np.float32(1), out=cover)


def _bone_hu(distance: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cortex at the surface, marrow within."""
    shell = np.clip(distance * np.float32(0.5) + np.float32(2.0), np.float32(0), np.float32(1))
    return np.asarray(np.float32(MARROW_HU) + np.float32(CORTEX_HU - MARROW_HU) * shell)


def _table(grid: Grid, chest: Chest) -> NDArray[np.float32]:
    """Air, and the couch as two thin bent plates behind the patient."""
    x, y = grid.lines_mm()[None, :], grid.lines_mm()[:, None]
    back = chest.frame.y_mm + chest.frame.scales[1] * (136.0 + 0.7 * chest.fat_mm) + 9.0
    bend = y - back + 0.0009 * x * x
    hu = np.full((grid.size, grid.size), AIR_HU)
    for offset, thick, plate_hu in ((0.0, 1.0, -350.0), (22.0, 1.2, -150.0)):
        hu = np.where(np.abs(bend - offset) < max(thick, grid.spacing_mm / 2), plate_hu, hu)
    return np.asarray(hu, np.float32)
