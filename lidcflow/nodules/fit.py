"""Fit the score of candidates on cubes around real nodules: the blobs in a nodule against those about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.ensemble import HistGradientBoostingClassifier

from lidcflow.nodules.candidates import blobs_in_lungs
from lidcflow.nodules.grid import TISSUE_HU, WorkGrid
from lidcflow.nodules.lungs import AIR_BELOW_HU, CLOSED_OVER_MM, Lungs, close_over
from lidcflow.nodules.score import DEPTH, Trees
from lidcflow.nodules.table import feature_matrix

GRIDS_MM = ((2.5, 1.4), (1.25, 1.3), (3.0, 1.56))
"""Distances of slices and of pixels that every cube is seen at."""

MOST_INSIDE, MOST_ABOUT = 4, 60
"""Blobs of a cube that count, the ones with the largest dot first."""

GAP_MM = 3.0
"""Blobs within 1.3 radii and that of a nodule are neither in it nor about it."""

WEIGHT_ABOUT = 0.2
"""Weight of a blob beside a nodule; the blobs in a nodule weigh 1 together."""

SEEDS = (0, 1, 2)
"""Seeds of the ensembles that are averaged: each uses other features."""

SETTINGS = {"max_iter": 150, "learning_rate": 0.04, "max_depth": DEPTH, "max_features": 0.3, "l2_regularization": 20.0}
"""Strongly regularised, as there are some hundred nodules."""


class Examples(NamedTuple):
    """Blobs with their features, what they are, their weights, and the cube that they are in."""

    features: NDArray[np.float32]
    is_nodule: NDArray[np.bool_]
    weight: NDArray[np.float64]
    cube: NDArray[np.intp]


def fit_trees(examples: Examples) -> Trees:
    """Fit the trees of `lidcflow.nodules.score`.

    Parameters
    ----------
    examples : Examples
        From `examples_of`.
    """
    models = [HistGradientBoostingClassifier(random_state=seed, **SETTINGS) for seed in SEEDS]
    for model in models:
        model.fit(examples.features, examples.is_nodule, sample_weight=examples.weight)
    # scikit-learn has no public way to the nodes of its histogram trees; its exact ones overfit so few nodules.
    grown = [_in_order(one.nodes) for model in models for (one,) in model._predictors]
    feature, threshold, value = (np.stack(part) for part in zip(*grown, strict=True))
    start = np.mean([model._baseline_prediction for model in models])
    return Trees(feature, threshold, (value / len(SEEDS)).astype(np.float32), float(start))


def _in_order(nodes: NDArray[np.void]) -> tuple[NDArray[np.int16], NDArray[np.float32], NDArray[np.float32]]:
    """Lay a tree out as `Trees` does; a leaf above the last level has an infinite threshold and is its first child."""
    inner, leaves = 2**DEPTH - 1, 2**DEPTH
    feature, threshold = np.zeros(inner, np.int16), np.full(inner, np.inf, np.float32)
    value = np.zeros(leaves, np.float32)
    places = [(0, 0)]
    while places:
        place, index = places.pop()
        node = nodes[index]
        if place >= inner:
            value[place - inner] = node["value"]
        elif node["is_leaf"]:
            places.append((2 * place + 1, index))
        else:
            feature[place], threshold[place] = node["feature_idx"], node["num_threshold"]
            places += [(2 * place + 1, node["left"]), (2 * place + 2, node["right"])]
    return feature, threshold, value


def examples_of(images: NDArray[np.uint8], masks: NDArray[np.uint8]) -> Examples:
    """Collect the blobs of cubes around nodules, each seen on every grid of `GRIDS_MM`.

    Parameters
    ----------
    images : (n, side, side, side) array of uint8
        HU -1000 to 400 as 0 to 255, voxels of 1 mm, the nodule in the middle, slices along the last axis.
    masks : (n, side, side, side) array of uint8
        The nodule.
    """
    parts = [
        part
        for cube, (image, mask) in enumerate(zip(images, masks, strict=True))
        for grid_mm in GRIDS_MM
        for part in _examples(np.moveaxis(image, -1, 0), np.moveaxis(mask > 0, -1, 0), grid_mm, cube)
    ]
    return Examples(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _examples(
    image: NDArray[np.uint8], mask: NDArray[np.bool_], grid_mm: tuple[float, float], cube: int
) -> Iterator[Examples]:
    """Take the blobs in the nodule and about it, in each channel; masses are scored as solid nodules are."""
    grid, lungs = cube_grid(image, grid_mm)
    if not lungs.air.any():
        return
    table, index = blobs_in_lungs(grid, lungs)
    centre_mm = np.argwhere(mask).mean(axis=0)
    radius_mm = (0.75 * mask.sum() / np.pi) ** (1 / 3)
    offset_mm = cube_mm(index, grid.voxel_mm, len(mask)) - centre_mm
    distance_mm = np.linalg.norm(offset_mm, axis=1)
    whole = np.abs(offset_mm).max(axis=1) < len(mask) / 2 - GAP_MM
    for channel in range(2):
        mine = table["channel"] == channel
        inside = _first(table, mine & (distance_mm < radius_mm), MOST_INSIDE)
        about = _first(table, mine & whole & (distance_mm > 1.3 * radius_mm + GAP_MM), MOST_ABOUT)
        chosen = np.concatenate([inside, about])
        is_nodule = np.arange(len(chosen)) < len(inside)
        weight = np.where(is_nodule, 1 / max(len(inside), 1), WEIGHT_ABOUT)
        yield Examples(feature_matrix(table[chosen]), is_nodule, weight, np.full(len(chosen), cube))


def _first(table: NDArray[np.void], wanted: NDArray[np.bool_], most: int) -> NDArray[np.intp]:
    found = np.flatnonzero(wanted)
    return found[np.argsort(-table["dot"][found], kind="stable")[:most]]


RIM = 6
"""Voxels that a cube's rim is repeated outwards by: scales wider than a cube need something there."""


def cube_grid(image: NDArray[np.uint8], grid_mm: tuple[float, float]) -> tuple[WorkGrid, Lungs]:
    """Resample a cube to the grid of a scan, and find the lung in it.

    Parameters
    ----------
    image : (side, side, side) array of uint8
        Slices along the first axis.
    grid_mm : tuple of 2 floats
        Distance of slices and of pixels.
    """
    hu = np.clip(image.astype(np.float32) * np.float32(1400 / 255) - 1000, *TISSUE_HU)
    voxel_mm = np.array([grid_mm[0], grid_mm[1], grid_mm[1]])
    at = np.meshgrid(
        *(_start_mm(len(image), mm) + np.arange(_cells(len(image), mm)) * mm for mm in voxel_mm), indexing="ij"
    )
    coarse = ndimage.map_coordinates(ndimage.gaussian_filter(hu, voxel_mm / 3.5), at, order=1, mode="nearest")
    grid = WorkGrid(np.pad(coarse, RIM, mode="edge"), voxel_mm, np.ones(3))
    return grid, _lung(grid)


def cube_mm(index: NDArray[np.float64], voxel_mm: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Return where in a cube, in mm from its first voxel, places of its grid are."""
    return (index - RIM) * voxel_mm + [_start_mm(side, mm) for mm in voxel_mm]


def _cells(side: int, mm: float) -> int:
    return int((side - 1) / mm) + 1


def _start_mm(side: int, mm: float) -> float:
    """Return where the first cell is, so that the cells are in the middle of the cube."""
    return (side - 1 - (_cells(side, mm) - 1) * mm) / 2


def _lung(grid: WorkGrid) -> Lungs:
    """Take every larger piece of air as lung, and go on with it beyond the cube."""
    pieces, count = ndimage.label(ndimage.gaussian_filter(grid.hu, 0.5) < AIR_BELOW_HU)
    size = np.bincount(pieces.ravel(), minlength=count + 1)
    size[0] = 0
    air = (size > 0.1 * size.max())[pieces]
    spare = [(int(CLOSED_OVER_MM / mm) + 1,) * 2 for mm in grid.voxel_mm]
    beyond = np.pad(air, spare, mode="edge")
    closed = air
    if air.any():
        closed = close_over(beyond, grid.voxel_mm, CLOSED_OVER_MM)[tuple(slice(n, -n) for n, _ in spare)]
    return Lungs(air, closed, np.zeros_like(air))
