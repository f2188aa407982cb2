"""Location of a nodule in real annotations: the readers' outlines, averaged slice by slice."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median_low

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.draw import polygon

from lidcflow.labels.lidc import Contour, LidcNodule, LidcReading, LidcScan
from lidcflow.phantom.grid import Grid
from lidcflow.phantom.lesions import MeanRatings, Patch

MARGIN_PIXELS = 6
OUTLINE_PIXELS = 0.5
"""Readers drew through the first pixels outside of a nodule: it ends half a pixel before."""

Box = tuple[int, int, int, int]
"""First row, first column, rows and columns."""


@dataclass(frozen=True, eq=False)
class ConsensusOutline:
    """The mean outline of a nodule's readers, in the slices of its own scan.

    Attributes
    ----------
    centre_mm : (x, y, depth)
        Position in the scan, from the centre of the image and below the top slice.
    radius_mm : float
        Radius of a disc with the area of the largest outline.
    patches : mapping
        Depth of a slice in micrometres to the nodule's part of it.
    """

    centre_mm: tuple[float, float, float]
    radius_mm: float
    patches: Mapping[int, Patch]

    def patch(self, grid: Grid, depth_mm: float) -> Patch | None:  # noqa: ARG002
        """Return the nodule's part of a slice of its scan; the grid must be the scan's own."""
        return self.patches.get(_micrometres(depth_mm))


def consensus_outline(nodule: LidcNodule, scan: LidcScan, grid: Grid) -> ConsensusOutline:
    """Average the outlines of a nodule's readers.

    Parameters
    ----------
    nodule : Nodule
        Its readings.
    scan : LidcScan
        The series they belong to.
    grid : Grid
        The pixels of that series.
    """
    box = _box(nodule)
    patches = {
        _micrometres(scan.slice_z_mm[0] - z_mm): _consensus(nodule, z_mm, box, grid.spacing_mm)
        for z_mm in sorted({contour.z_mm for reading in nodule.readings for contour in reading.contours})
    }
    return ConsensusOutline(_centre(patches, grid), _radius_mm(patches, grid), patches)


def mean_ratings(nodule: LidcNodule) -> MeanRatings:
    """Average the ratings of a nodule's readers."""
    ratings = [reading.ratings for reading in nodule.readings]
    return MeanRatings(
        subtlety=fmean(one.subtlety for one in ratings),
        internal_structure=median_low(one.internal_structure for one in ratings),
        calcification=median_low(one.calcification for one in ratings),
        margin=fmean(one.margin for one in ratings),
        lobulation=fmean(one.lobulation for one in ratings),
        spiculation=fmean(one.spiculation for one in ratings),
        texture=fmean(one.texture for one in ratings),
    )


def _micrometres(depth_mm: float) -> int:
    return round(float(depth_mm) * 1000)


def _box(nodule: LidcNodule) -> Box:
    points = np.vstack([contour.points for reading in nodule.readings for contour in reading.contours])
    low, high = points.min(axis=0) - MARGIN_PIXELS, points.max(axis=0) + MARGIN_PIXELS + 1
    return int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1])


def _consensus(nodule: LidcNodule, z_mm: float, box: Box, spacing_mm: float) -> Patch:
    """Mean distance inside the outlines of those who marked the slice; fainter when most did not."""
    masks = [_mask(here, box) for reading in nodule.readings if (here := _contours_at(reading, z_mm))]
    inside = np.mean([_inside_pixels(mask) for mask in masks], axis=0)
    if inside.max() <= 0:
        inside = np.max([_inside_pixels(mask) for mask in masks], axis=0)
    agreement = len(masks) / len(nodule.readings)
    smooth = ndimage.gaussian_filter(inside, 0.6) * spacing_mm
    return Patch(box[0], box[1], smooth.astype(np.float32), min(1.0, 0.45 + 1.1 * agreement))


def _contours_at(reading: LidcReading, z_mm: float) -> list[Contour]:
    return [contour for contour in reading.contours if contour.z_mm == z_mm]


def _mask(contours: Sequence[Contour], box: Box) -> NDArray[np.bool_]:
    """Pixels that a reader's outlines include, less those that they exclude."""
    mask = np.zeros(box[2:], bool)
    for contour in sorted(contours, key=lambda one: not one.inclusion):
        rows, columns = (contour.points - np.array(box[:2])).T
        area = np.zeros(box[2:], bool)
        area[polygon(rows, columns, box[2:])] = True
        area[rows, columns] = False
        if not area.any():
            area[rows, columns] = True
        mask = mask | area if contour.inclusion else mask & ~area
    return mask


def _inside_pixels(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Distance to the outline in pixels, positive inside."""
    if not mask.any():
        return np.full(mask.shape, -1.0)
    outside = 1.0 - ndimage.distance_transform_edt(~mask)
    return np.asarray(np.where(mask, ndimage.distance_transform_edt(mask), outside) - OUTLINE_PIXELS)


def _centre(patches: Mapping[int, Patch], grid: Grid) -> tuple[float, float, float]:
    places = []
    for depth, patch in patches.items():
        rows, columns = np.nonzero(patch.inside_mm > 0)
        if len(rows):
            x, y = grid.position(columns + patch.column).mean(), grid.position(rows + patch.row).mean()
            places.append((len(rows), float(x), float(y), depth / 1000))
    if not places:
        return _middle(patches, grid)
    weights = np.array([place[0] for place in places], float)
    x, y, depth_mm = (
        float(weights @ np.array(values) / weights.sum()) for values in list(zip(*places, strict=True))[1:]
    )
    return x, y, depth_mm


def _middle(patches: Mapping[int, Patch], grid: Grid) -> tuple[float, float, float]:
    """Centre of the patches of a nodule so small that smoothing leaves no pixel inside."""
    depth, patch = next(iter(patches.items()))
    rows, columns = patch.inside_mm.shape
    corner = grid.position(np.array([patch.column, patch.row]))
    x, y = corner + np.array([columns - 1, rows - 1]) * grid.spacing_mm / 2
    return float(x), float(y), depth / 1000


def _radius_mm(patches: Mapping[int, Patch], grid: Grid) -> float:
    area = max(int((patch.inside_mm > 0).sum()) for patch in patches.values())
    return max(math.sqrt(area / math.pi), 1.0) * grid.spacing_mm
