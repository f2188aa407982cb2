"""The network of the segmenter as plain NumPy: an encoder and a decoder of three scales, batch normalisation folded in.

It is trained in Keras (`lidcflow.learn.segmenter_layers`) and applied here, so that an answer needs no TensorFlow.
Blocks of 2 x 2 x 2 voxels are channels of one place, in its input and its output: the finest scale has an eighth of the
places, and as many weights look at them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lidcflow.blas import one_blas_thread

Floats = NDArray[np.float32]

BLOCK = 8
"""Voxels of a place: 2 x 2 x 2."""

CHANNELS = BLOCK + 2
"""Channels of the input: the densities of a place, and its distance from the middle in voxels and in mm."""

FINE, MIDDLE, COARSE = 20, 40, 56
"""Filters of the scales, whose places are 2, 4 and 8 voxels wide: 0.6 billion multiplications a cube of 48 voxels."""

SHAPES = {
    "fine_first": (3, CHANNELS, FINE),
    "fine_second": (3, FINE, FINE),
    "middle_first": (3, FINE, MIDDLE),
    "middle_second": (3, MIDDLE, MIDDLE),
    "coarse_first": (3, MIDDLE, COARSE),
    "coarse_second": (3, COARSE, COARSE),
    "middle_widened": (1, COARSE, MIDDLE),
    "middle_joined": (3, MIDDLE, MIDDLE),
    "fine_widened": (1, MIDDLE, FINE),
    "fine_joined": (3, FINE, FINE),
    "logits": (1, FINE, BLOCK),
}
"""Layers: side of the kernel, channels in and out."""

GAIN, OFFSET = 4.0, -1.0
"""The network sees shares of the window times 4 less 1: lung is near 0.6 below zero, soft tissue about 2 above."""

FAR_VOXELS, FAR_MM = 12.0, 12.0
"""Distances are divided by these."""

FARTHEST_VOXELS = 24.0
"""Places farther from the middle count as this far: views in the training are narrower than cubes."""


@dataclass(frozen=True)
class SegmenterNetwork:
    """A network with its weights.

    Attributes
    ----------
    weights : mapping of str to array of float32
        ``<layer>/kernel`` of (k, k, k, in, out) and ``<layer>/bias`` of (out,), the layers being those of `SHAPES`.
    """

    weights: Mapping[str, Floats]

    def __call__(self, grey: NDArray[np.uint8] | Floats, voxel_mm: float) -> Floats:
        """Return the logits of a cube's voxels.

        Parameters
        ----------
        grey : (side, side, side) array
            0 (air) to 255, as `lidcflow.nodules.window` has it; the side must be a multiple of 8.
        voxel_mm : float
            Distance of voxels.

        Returns
        -------
        (side, side, side) array of float32
        """
        with one_blas_thread():
            return unpacked(self._places(network_input(grey[None], np.array([voxel_mm])))[0])

    def _places(self, places: Floats) -> Floats:
        fine = self._twice(places[0], "fine")
        middle = self._twice(_halved(fine), "middle")
        coarse = self._twice(_halved(middle), "coarse")
        middle = self._joined(coarse, middle, "middle")
        fine = self._joined(middle, fine, "fine")
        return self._convolved(fine, "logits")[None]

    def _twice(self, maps: Floats, scale: str) -> Floats:
        return self._rectified(self._rectified(maps, f"{scale}_first"), f"{scale}_second")

    def _joined(self, coarser: Floats, maps: Floats, scale: str) -> Floats:
        widened = _doubled(self._convolved(coarser, f"{scale}_widened"))
        return self._rectified(np.maximum(widened + maps, 0), f"{scale}_joined")

    def _rectified(self, maps: Floats, layer: str) -> Floats:
        found = self._convolved(maps, layer)
        return np.maximum(found, 0, out=found)

    def _convolved(self, maps: Floats, layer: str) -> Floats:
        found = convolve(maps, self.weights[f"{layer}/kernel"])
        found += self.weights[f"{layer}/bias"]
        return found


def network_input(grey: NDArray[np.uint8] | Floats, voxel_mm: NDArray[np.floating]) -> Floats:
    """Return what the network sees of cubes.

    Parameters
    ----------
    grey : (n, side, side, side) array
        0 (air) to 255.
    voxel_mm : (n,) array
        Distance of voxels.

    Returns
    -------
    (n, side / 2, side / 2, side / 2, 10) array of float32
    """
    n, side = grey.shape[:2]
    maps = np.empty((n, *(side // 2,) * 3, CHANNELS), np.float32)
    maps[..., :BLOCK] = packed(np.asarray(grey, np.float32)) * np.float32(GAIN / 255) + np.float32(OFFSET)
    away = _from_middle(side // 2)
    maps[..., BLOCK] = away / FAR_VOXELS
    maps[..., BLOCK + 1] = away * (np.asarray(voxel_mm, np.float32) / FAR_MM)[:, None, None, None]
    return maps


def _from_middle(places: int) -> Floats:
    """Return the distance of each place from the middle of the cube, in voxels."""
    axis = 2 * (np.arange(places, dtype=np.float32) - (places - 1) / 2)
    away: Floats = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)
    return np.minimum(away, np.float32(FARTHEST_VOXELS))


def packed(cubes: NDArray[np.floating]) -> Floats:
    """Turn blocks of 2 x 2 x 2 voxels into channels.

    Parameters
    ----------
    cubes : (n, side, side, side) array

    Returns
    -------
    (n, side / 2, side / 2, side / 2, 8) array

    Examples
    --------
    >>> packed(np.arange(8).reshape(1, 2, 2, 2))[0, 0, 0, 0]
    array([0., 1., 2., 3., 4., 5., 6., 7.], dtype=float32)
    """
    n, half = len(cubes), cubes.shape[1] // 2
    blocks = cubes.reshape(n, half, 2, half, 2, half, 2).transpose(0, 1, 3, 5, 2, 4, 6)
    return np.asarray(blocks.reshape(n, half, half, half, BLOCK), np.float32)


def unpacked(places: Floats) -> Floats:
    """Undo `packed` for one cube.

    Examples
    --------
    >>> unpacked(packed(np.arange(64).reshape(1, 4, 4, 4))[0])[1, 0]
    array([16., 17., 18., 19.], dtype=float32)
    """
    half = len(places)
    return places.reshape(half, half, half, 2, 2, 2).transpose(0, 3, 1, 4, 2, 5).reshape(*(2 * half,) * 3)


def convolve(maps: Floats, kernel: Floats) -> Floats:
    """Convolve maps of a cube, padded with zeros as Keras' ``same``.

    Parameters
    ----------
    maps : (side, side, side, in) array
    kernel : (k, k, k, in, out) array
        k is 1 or 3.

    Examples
    --------
    >>> convolve(np.ones((2, 2, 2, 1), np.float32), np.ones((3, 3, 3, 1, 1), np.float32))[0, 0, 0]
    array([8.], dtype=float32)
    """
    if len(kernel) == 1:
        return np.asarray(maps @ kernel[0, 0, 0])
    side, filters = maps.shape[0], kernel.shape[-1]
    bordered = np.pad(maps, [(1, 1)] * 3 + [(0, 0)])
    rows = np.concatenate([bordered[:, :, shift : shift + side] for shift in range(3)], axis=-1)
    found = np.zeros((side, side * side, filters), np.float32)
    for place in range(side):
        for down in range(3):
            for right in range(3):
                seen = rows[place + down, right : right + side].reshape(side * side, -1)
                found[place] += seen @ kernel[down, right].reshape(-1, filters)
    return found.reshape(side, side, side, filters)


def _halved(maps: Floats) -> Floats:
    """Average blocks of 2 x 2 x 2."""
    half, filters = len(maps) // 2, maps.shape[-1]
    halves: Floats = maps.reshape(half, 2, half, 2, half, 2, filters).mean(axis=(1, 3, 5))
    return halves


def _doubled(maps: Floats) -> Floats:
    return maps.repeat(2, axis=0).repeat(2, axis=1).repeat(2, axis=2)
