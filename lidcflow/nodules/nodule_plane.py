"""The plane through a nodule that malignancy is read from, and the nodule's part of that plane."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

PIXELS, PIXEL_MM = 48, 0.75
"""A plane is 36 mm wide: that of a stored cube as it is, and of the nodule slices but a rim."""

LUNG_PERCENTILE = 20
"""Percentile of the densities in a plane that stands for aerated lung, where the plane shows lung."""

LUNG_HU = (-950.0, -700.0)
"""Limits of what counts as the density of the lung around."""

CUT_HU = (-700.0, -200.0)
"""Limits of the threshold between nodule and lung, so that ground glass and calcium are found too."""

MIDDLE_MM, WALK = 2.5, 0.9
"""The middle, whose density is the nodule's and which holds its widest place; what a place loses by its distance."""

OPENED, REACH = 0.35, 1.7
"""Shares of the radius at the widest place: what the opening removes, and how far the nodule may extend."""


def plane_of(hu: NDArray[np.integer], pixel_mm: float, to_mm: float = PIXEL_MM) -> NDArray[np.float32]:
    """Resample the plane around the middle of an image.

    Parameters
    ----------
    hu : (rows, columns) array of int
        HU, the nodule in the middle. What lies beyond the image repeats its edge.
    pixel_mm, to_mm : float
        Distance of its pixels, and of those of the plane.

    Returns
    -------
    (48, 48) array of float32
        HU.
    """
    offsets = (np.arange(PIXELS) - (PIXELS - 1) / 2) * (to_mm / pixel_mm)
    middles = [(side - 1) / 2 for side in hu.shape]
    grid = np.meshgrid(*(middle + offsets for middle in middles), indexing="ij")
    smooth = ndimage.gaussian_filter(hu.astype(np.float32), _blur(to_mm / pixel_mm))
    return np.asarray(ndimage.map_coordinates(smooth, grid, order=1, mode="nearest"), np.float32)


def _blur(factor: float) -> float:
    """Return the blur before thinning out by a factor, in pixels; none where pixels do not get fewer."""
    return 0.4 * max(0.0, factor - 1)


def nodule_mask(plane: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Segment the nodule in the middle of a plane.

    The threshold lies halfway between the lung around and the middle. Of the connected part, the widest place near the
    middle is the nodule; vessels are cut off by an opening, and the chest wall by a circle around that place.

    Parameters
    ----------
    plane : (48, 48) array of float32
        HU, from `plane_of`.

    Returns
    -------
    (48, 48) array of bool
        At least one pixel.
    """
    smooth = ndimage.gaussian_filter(plane, 0.6)
    from_middle = _distances(((PIXELS - 1) / 2, (PIXELS - 1) / 2))
    core = from_middle <= MIDDLE_MM
    lung = float(np.clip(np.percentile(plane, LUNG_PERCENTILE), *LUNG_HU))
    dense = smooth > np.clip((lung + float(np.median(smooth[core]))) / 2, *CUT_HU)
    depth = ndimage.distance_transform_edt(dense) * PIXEL_MM
    rank = np.where(from_middle <= np.maximum(MIDDLE_MM, depth / 2), depth - WALK * from_middle, -np.inf)
    widest = tuple(int(index) for index in np.unravel_index(int(np.argmax(rank)), rank.shape))
    radius = max(float(depth[widest]), PIXEL_MM)
    return _connected(dense & (_distances(widest) <= REACH * radius + PIXEL_MM), widest, OPENED * radius)


def disc_mask(diameter_mm: float) -> NDArray[np.bool_]:
    """Return the disc of a diameter in the middle of a plane; at least its middle pixels."""
    return np.asarray(_distances(((PIXELS - 1) / 2, (PIXELS - 1) / 2)) <= max(diameter_mm / 2, PIXEL_MM))


def mask_diameter_mm(mask: NDArray[np.bool_]) -> float:
    """Return the diameter of the circle that has the area of a mask.

    Examples
    --------
    >>> round(mask_diameter_mm(disc_mask(12.0)), 1)
    12.2
    """
    return float(2 * PIXEL_MM * np.sqrt(mask.sum() / np.pi))


def _connected(dense: NDArray[np.bool_], seed: tuple[int, ...], opened_mm: float) -> NDArray[np.bool_]:
    inner = ndimage.distance_transform_edt(dense) * PIXEL_MM > opened_mm
    grown = ndimage.distance_transform_edt(~_part_at(inner, seed)) * PIXEL_MM <= opened_mm + PIXEL_MM / 2
    found = ndimage.binary_fill_holes(_part_at(grown & dense, seed))
    return np.asarray(found, bool)


def _part_at(mask: NDArray[np.bool_], seed: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the connected part of a mask that holds a pixel; the pixel alone where the mask leaves it out."""
    labels, _ = ndimage.label(mask)
    part = np.zeros(mask.shape, bool)
    part[seed] = True
    return np.asarray(labels == labels[seed]) if mask[seed] else part


def _distances(place: tuple[float, ...]) -> NDArray[np.float64]:
    rows, columns = np.indices((PIXELS, PIXELS))
    return np.asarray(np.hypot(rows - place[0], columns - place[1]) * PIXEL_MM)
