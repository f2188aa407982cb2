"""Volumes of patients who never were, to train the compact backbone on; no row of LIDC-IDRI touches them.

The same code draws them as draws the phantoms, but for organs: those are drawn at half the matrix, which is
still twice as fine as what a volume keeps. Vessels, nodules and noise have the full matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from lidcflow.phantom.chest import random_chest, random_frame
from lidcflow.phantom.findings import BENIGN, MALIGNANT, random_lesion
from lidcflow.phantom.grid import Enlarger, Grid
from lidcflow.phantom.lesions import Lesion
from lidcflow.phantom.render import Anatomy, Painter, random_lung_points, sample_anatomy
from lidcflow.phantom.scanner import Detector, Protocol, random_protocol
from lidcflow.phantom.scene import build_scene, generator
from lidcflow.volume.resample import reduce_plane, slab_edges_mm, slab_weights

DOMAIN = 0x70726F63
"""Keeps the seeds of procedural patients apart from those of phantoms."""

SLICES, SIZE, MATRIX = 65, 128, 512
ORGANS = MATRIX // 2
"""Rows and columns that organs are drawn with."""

LATTICE_MM = 4.0
SPACINGS_MM, SPACING_SHARES = (1.25, 1.8, 2.0, 2.5, 3.0), (0.08, 0.12, 0.1, 0.45, 0.25)
NODULES = 2.6


class ProceduralVolume(NamedTuple):
    """A volume on the output grid with the truth about it, top of the chest first.

    Attributes
    ----------
    hu : (2, 65, 128, 128) array of int16
        Channels ``mean`` and ``max``.
    labels : (65,) array of int8
        0 non-nodule, 1 benign, 2 malignant.
    masks : (65, 128, 128) array of uint8
        The label of the worst nodule that a cell holds a part of.
    """

    hu: NDArray[np.int16]
    labels: NDArray[np.int8]
    masks: NDArray[np.uint8]


@dataclass(frozen=True)
class _Scan:
    """Field of view, positions of the source slices below the top, and how they lie in the slabs."""

    fov_mm: float
    depths_mm: NDArray[np.float64]
    weights: NDArray[np.float64]


def volume(seed: int, *, nodules: float = NODULES) -> ProceduralVolume:
    """Make one volume, in about a second.

    Parameters
    ----------
    seed : int
        Same seed, same volume.
    nodules : float
        Mean number of nodules, half of them malignant.

    Examples
    --------
    >>> volume(0).hu.shape
    (2, 65, 128, 128)
    """
    rng = generator(DOMAIN, seed)
    scan, protocol = _random_scan(rng)
    extent_mm = float(scan.depths_mm[-1])
    chest = random_chest(rng, random_frame(rng, scan.fov_mm, extent_mm), contrast_used=rng.random() < 0.3)
    grid = Grid(MATRIX, scan.fov_mm / MATRIX)
    anatomy = sample_anatomy(chest, Enlarger(Grid(ORGANS, scan.fov_mm / ORGANS), LATTICE_MM), extent_mm)
    findings = _random_findings(rng, anatomy, nodules)
    scene = build_scene(rng, chest, anatomy, [lesion for lesion, _ in findings])
    painter = Painter(scene, grid, edge_mm=protocol.kernel.edge_mm, thickness_mm=protocol.thickness_mm)
    hu = _reduce(painter, Detector(rng, protocol, chest, grid, scan.depths_mm), scan)
    return ProceduralVolume(hu, *_truth(rng, findings, grid, scan))


def _random_scan(rng: Generator) -> tuple[_Scan, Protocol]:
    fov_mm = float(np.clip(rng.normal(352, 43), 262, 480))
    extent_mm = float(np.clip(rng.normal(318, 34), 240, 410))
    spacing_mm = float(rng.choice(SPACINGS_MM, p=SPACING_SHARES))
    depths_mm = np.arange(0.0, extent_mm, spacing_mm)
    edges_mm = slab_edges_mm(0.0, -float(depths_mm[-1]), spacing_mm / 2, SLICES)
    thickness_mm = {1.8: 2.0, 2.0: 2.5}.get(spacing_mm, spacing_mm)
    weights = slab_weights(-depths_mm, spacing_mm / 2, edges_mm)
    return _Scan(fov_mm, depths_mm, weights), random_protocol(rng, thickness_mm)


def _random_findings(rng: Generator, anatomy: Anatomy, mean: float) -> list[tuple[Lesion, int]]:
    findings = []
    for place in random_lung_points(rng, anatomy, int(rng.poisson(mean))):
        label = int(rng.choice((BENIGN, MALIGNANT)))
        findings.append((random_lesion(rng, label, (place[0], place[1], place[2])), label))
    return findings


def _reduce(painter: Painter, detector: Detector, scan: _Scan) -> NDArray[np.int16]:
    """Draw each slice, add noise, and reduce it into its slabs as the preprocessing does."""
    means = np.zeros((SLICES, SIZE, SIZE), np.float32)
    peaks = np.full((SLICES, SIZE, SIZE), -1024, np.int16)
    for index, depth_mm in enumerate(scan.depths_mm):
        clean = painter.slice_at(float(depth_mm))
        hu = np.rint(np.clip(detector.expose(clean, index), -1024, 3071)).astype(np.int16)
        mean, peak = reduce_plane(hu, SIZE)
        for slab in np.flatnonzero(scan.weights[:, index]):
            means[slab] += mean * np.float32(scan.weights[slab, index])
            np.maximum(peaks[slab], peak, out=peaks[slab])
    return np.stack([np.rint(means).astype(np.int16), peaks])


def _truth(
    rng: Generator, findings: Sequence[tuple[Lesion, int]], grid: Grid, scan: _Scan
) -> tuple[NDArray[np.int8], NDArray[np.uint8]]:
    """Label the slabs that hold a slice of a nodule, and mark its cells."""
    masks = np.zeros((SLICES, SIZE, SIZE), np.uint8)
    for lesion, label in findings:
        for index in _marked_slices(rng, lesion, grid, scan.depths_mm):
            cells = _cells(lesion, grid, float(scan.depths_mm[index]))
            for slab in np.flatnonzero(scan.weights[:, index]):
                np.maximum(masks[slab], cells * np.uint8(label), out=masks[slab])
    return masks.max(axis=(1, 2)).astype(np.int8), masks


def _marked_slices(rng: Generator, lesion: Lesion, grid: Grid, depths_mm: NDArray[np.float64]) -> list[int]:
    """Slices that readers would outline the nodule in; one of them may go a slice too far."""
    centre = lesion.outline.centre_mm[2]
    patches = {
        int(i): lesion.outline.patch(grid, float(depths_mm[i])) for i in np.argsort(abs(depths_mm - centre))[:48]
    }
    inside = [i for i, patch in patches.items() if patch is not None and patch.inside_mm.max() > 0.2]
    nearest = int(np.argmin(abs(depths_mm - centre)))
    low, high = min(inside, default=nearest), max(inside, default=nearest)
    low, high = low - int(rng.random() < 0.2), high + int(rng.random() < 0.2)
    return list(range(max(low, 0), min(high, len(depths_mm) - 1) + 1))


def _cells(lesion: Lesion, grid: Grid, depth_mm: float) -> NDArray[np.uint8]:
    """Cells of the output grid that hold a part of the nodule: at least the one at its centre."""
    cells = np.zeros((SIZE, SIZE), np.uint8)
    patch = lesion.outline.patch(grid, depth_mm)
    rows, columns = np.nonzero(patch.inside_mm > 0) if patch is not None else (np.zeros(0, int), np.zeros(0, int))
    if patch is not None and len(rows):
        pixels = np.stack([rows + patch.row, columns + patch.column])
    else:
        pixels = np.rint(grid.index(np.array(lesion.outline.centre_mm[1::-1]))).astype(int)[:, None]
    pixels = np.clip(pixels, 0, grid.size - 1) * SIZE // grid.size
    cells[pixels[0], pixels[1]] = 1
    return cells
