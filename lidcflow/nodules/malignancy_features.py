"""Features of malignancy: QIF, and the activations of a network's stages in the plane at two widths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lidcflow.blas import one_blas_thread
from lidcflow.compute_threads import map_in_threads
from lidcflow.nodules.detector_network import DetectorNetwork
from lidcflow.nodules.nodule_plane import PIXEL_MM, mask_diameter_mm, nodule_mask, plane_of
from lidcflow.nodules.qif import qif_of
from lidcflow.nodules.window import windowed

Floats = NDArray[np.float64]

NETWORK_MM = (PIXEL_MM, 0.45)
"""Distances of the pixels that the network sees: planes of 36 mm, and of 22 mm for small nodules."""


def quantitative_features(planes: NDArray[np.float32]) -> tuple[Floats, Floats]:
    """Return QIF of the nodules in planes as models take them, and their diameters.

    Parameters
    ----------
    planes : (n, 48, 48) array of float32
        HU at 0.75 mm.

    Returns
    -------
    (n, 40) array of float64
        Signed logarithms of `lidcflow.nodules.qif.QIF_NAMES` and of the diameter.
    (n,) array of float64
        Diameter of the circle of the mask's area, mm.
    """
    masks = [nodule_mask(plane) for plane in planes]
    qif = np.stack([qif_of(plane, mask) for plane, mask in zip(planes, masks, strict=True)])
    diameter_mm = np.array([mask_diameter_mm(mask) for mask in masks])
    return compressed(np.column_stack([qif, diameter_mm])), diameter_mm


def compressed(values: Floats) -> Floats:
    """Return signed logarithms, so that energies and entropies are of like size.

    Examples
    --------
    >>> compressed(np.array([0.0, np.e - 1, 1 - np.e]))
    array([ 0.,  1., -1.])
    """
    return np.asarray(np.sign(values) * np.log1p(np.abs(values)))


def network_features(
    network: DetectorNetwork, images: Sequence[NDArray[np.integer]], pixel_mm: NDArray[np.floating]
) -> Floats:
    """Return what a network's stages find around the middle of images, as the mean over mirror images.

    Parameters
    ----------
    network : DetectorNetwork
    images : (n,) sequence of (rows, columns) arrays
        HU, the nodule in the middle.
    pixel_mm : (n,) array
        Distances of their pixels.

    Returns
    -------
    (n, 1008) array of float64
        Those of the wide plane first.
    """
    return np.concatenate([_of_width(network, images, pixel_mm, to_mm) for to_mm in NETWORK_MM], axis=1)


def _of_width(
    network: DetectorNetwork, images: Sequence[NDArray[np.integer]], pixel_mm: NDArray[np.floating], to_mm: float
) -> Floats:
    planes = [plane_of(image, float(mm), to_mm) for image, mm in zip(images, pixel_mm, strict=True)]
    grey = windowed(np.round(np.stack(planes)).astype(np.int32))
    views = (grey, grey[:, ::-1], grey[:, :, ::-1], grey.transpose(0, 2, 1))
    with one_blas_thread():
        features = map_in_threads(network.stage_features, views)
    return np.asarray(np.mean(features, axis=0), np.float64)
