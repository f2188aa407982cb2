"""Quantitative image features (QIF) of a nodule in a plane: 2-D shape, first order, texture, and its surroundings.

Names that begin with ``shape2D_``, ``firstorder_`` and ``glcm_`` are PyRadiomics' and follow its documentation,
computed here in one plane: 25 HU a bin with edges at multiples of 25 HU, neighbours one pixel apart in four directions,
symmetric, each direction normalised by itself and features averaged. Names that begin with ``own_`` are no standard's.
PyRadiomics itself and mirp are not used: see docs/malignancy.md.

References
----------
van Griethuysen JJM et al. 2017, Cancer Research 77: e104-e107. Zwanenburg A et al. 2020, Radiology 295: 328-338 (IBSI).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.distance import pdist
from skimage.feature import graycomatrix
from skimage.measure import find_contours

from lidcflow.nodules.nodule_plane import PIXEL_MM

Floats = NDArray[np.float64]

BIN_HU = 25
LOWEST_HU, HIGHEST_HU = -1000, 999
"""Densities beyond are taken as these."""

SHELL_MM = 3.0
"""Thickness of the shell around a nodule whose density is a feature."""

SHAPE = (
    "MeshSurface",
    "PixelSurface",
    "Perimeter",
    "PerimeterSurfaceRatio",
    "Sphericity",
    "MaximumDiameter",
    "MajorAxisLength",
    "MinorAxisLength",
    "Elongation",
)
FIRST_ORDER = (
    "Energy",
    "Entropy",
    "Minimum",
    "10Percentile",
    "90Percentile",
    "Maximum",
    "Mean",
    "Median",
    "InterquartileRange",
    "Range",
    "MeanAbsoluteDeviation",
    "RobustMeanAbsoluteDeviation",
    "RootMeanSquared",
    "Skewness",
    "Kurtosis",
    "Variance",
    "Uniformity",
)
TEXTURE = ("Contrast", "Correlation", "JointEnergy", "JointEntropy", "Idm", "Id")
OWN = (
    "shell_mean",
    "shell_dense_share",
    "edge_gradient_mean",
    "edge_gradient_deviation",
    "radius_deviation",
    "core_less_rim",
    "subsolid_share",
)

QIF_NAMES = (
    *(f"shape2D_{name}" for name in SHAPE),
    *(f"firstorder_{name}" for name in FIRST_ORDER),
    *(f"glcm_{name}" for name in TEXTURE),
    *(f"own_{name}" for name in OWN),
)
"""Features in the order of `qif_of`."""


def qif_of(plane: NDArray[np.floating], mask: NDArray[np.bool_]) -> Floats:
    """Return the features of a nodule.

    Parameters
    ----------
    plane : (rows, columns) array
        HU at 0.75 mm.
    mask : (rows, columns) array of bool
        The nodule, at least one pixel.

    Returns
    -------
    (39,) array of float64
        In the order of `QIF_NAMES`; mm, mm2 and HU.

    Raises
    ------
    ValueError
        If the mask is empty.
    """
    if not mask.any():
        raise ValueError("mask: must have at least one pixel, got none; use the disc of the nodule's diameter")
    hu = np.clip(np.round(plane), LOWEST_HU, HIGHEST_HU)
    return np.concatenate([_shape(mask), _first_order(hu[mask]), _texture(hu, mask), _own(hu, mask)])


def _shape(mask: NDArray[np.bool_]) -> Floats:
    """Return the shape: surface and perimeter of the marching-squares mesh, axes of the pixels' centres."""
    outline = max(find_contours(np.pad(mask, 1).astype(np.float64), 0.5), key=len) * PIXEL_MM
    steps = np.diff(outline, axis=0)
    perimeter = float(np.hypot(*steps.T).sum())
    crossed = outline[:-1, 0] * outline[1:, 1] - outline[1:, 0] * outline[:-1, 1]
    surface = float(abs(crossed.sum()) / 2)
    spread = np.cov(np.argwhere(mask).T * PIXEL_MM, bias=True) if mask.sum() > 1 else np.zeros((2, 2))
    minor, major = 4 * np.sqrt(np.maximum(np.linalg.eigvalsh(spread), 0))
    return np.array(
        [
            surface,
            mask.sum() * PIXEL_MM**2,
            perimeter,
            perimeter / surface,
            2 * np.sqrt(np.pi * surface) / perimeter,
            pdist(outline).max(),
            major,
            minor,
            minor / major if major > 0 else 1.0,
        ]
    )


def _first_order(hu: Floats) -> Floats:
    low, quarter, middle, three_quarters, high = np.percentile(hu, (10, 25, 50, 75, 90))
    share = np.unique(np.floor(hu / BIN_HU), return_counts=True)[1] / hu.size
    robust = hu[(hu >= low) & (hu <= high)]
    mean, variance = hu.mean(), hu.var()
    centred = hu - mean
    skewness, kurtosis = (_moment(centred, power) for power in (3, 4))
    return np.array(
        [
            (hu**2).sum(),
            _entropy(share),
            hu.min(),
            low,
            high,
            hu.max(),
            mean,
            middle,
            three_quarters - quarter,
            np.ptp(hu),
            np.abs(centred).mean(),
            np.abs(robust - robust.mean()).mean() if robust.size else 0.0,
            np.sqrt((hu**2).mean()),
            skewness,
            kurtosis,
            variance,
            (share**2).sum(),
        ]
    )


def _moment(centred: Floats, power: int) -> float:
    """Return a standardised moment; 0 where all values are alike, as PyRadiomics has it."""
    variance = float((centred**2).mean())
    return float((centred**power).mean() / variance ** (power / 2)) if variance > 0 else 0.0


def _entropy(share: Floats) -> float:
    return float(-(share[share > 0] * np.log2(share[share > 0])).sum())


def _texture(hu: Floats, mask: NDArray[np.bool_]) -> Floats:
    """Return features of the co-occurrence of densities, averaged over the directions that have any."""
    bins = np.floor(hu / BIN_HU).astype(np.int64)
    levels = np.where(mask, bins - bins[mask].min() + 1, 0).astype(np.uint8)
    angles = (0, np.pi / 4, np.pi / 2, 3 * np.pi / 4)
    counts = graycomatrix(levels, [1], angles, levels=int(levels.max()) + 1, symmetric=True)[1:, 1:, 0]
    pairs = [counts[..., way] / total for way in range(4) if (total := counts[..., way].sum())]
    return np.mean([_of_pairs(share) for share in pairs], axis=0) if pairs else np.array([0, 1.0, 1, 0, 1, 1])


def _of_pairs(share: Floats) -> Floats:
    rows, columns = np.indices(share.shape)
    apart = np.abs(rows - columns)
    mean = (rows * share).sum()
    variance = ((rows - mean) ** 2 * share).sum()
    together = ((rows - mean) * (columns - mean) * share).sum()
    return np.array(
        [
            (apart**2 * share).sum(),
            together / variance if variance > 0 else 1.0,
            (share**2).sum(),
            _entropy(share),
            (share / (1 + apart**2)).sum(),
            (share / (1 + apart)).sum(),
        ]
    )


def _own(hu: Floats, mask: NDArray[np.bool_]) -> Floats:
    outside = ndimage.distance_transform_edt(~mask) * PIXEL_MM
    inside = ndimage.distance_transform_edt(mask) * PIXEL_MM
    shell = hu[(outside > PIXEL_MM) & (outside <= SHELL_MM + PIXEL_MM)]
    rim = (outside <= PIXEL_MM) & (inside <= PIXEL_MM)
    gradient = np.hypot(*np.gradient(hu, PIXEL_MM))[rim]
    deep = inside >= np.median(inside[mask])
    edge = np.argwhere(mask & (inside <= PIXEL_MM)) - np.argwhere(mask).mean(axis=0)
    radii = np.hypot(*edge.T)
    return np.array(
        [
            shell.mean() if shell.size else LOWEST_HU,
            (shell > -400).mean() if shell.size else 0.0,
            gradient.mean(),
            gradient.std(),
            radii.std() / max(float(radii.mean()), 0.5),
            hu[deep].mean() - hu[mask & (inside <= PIXEL_MM)].mean(),
            ((hu[mask] < -300) & (hu[mask] > -800)).mean(),
        ]
    )
