"""The network of the detector as plain NumPy: three stages of one residual block each, batch normalisation folded in.

It is trained in Keras (`lidcflow.learn.nodule_layers`) and applied here, so that reading a series needs no TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from lidcflow.blas import one_blas_thread
from lidcflow.compute_threads import map_in_threads

Floats = NDArray[np.float32]

STAGES = 3

STEM = ("stem", 5, 2)

GAIN, OFFSET = 4.0, -1.0
"""The network sees shares of the window times 4 less 1: lung is near 0.6 below zero, soft tissue about 2 above."""

BATCH = 32
"""Patches at a time: their windows are some 15 MB."""


@dataclass(frozen=True)
class DetectorNetwork:
    """A network with its weights.

    Attributes
    ----------
    weights : mapping of str to array of float32
        ``<layer>/kernel`` of (rows, columns, in, out) and ``<layer>/bias`` of (out,), the layers being ``stem``,
        ``stage<k>_first``, ``stage<k>_second``, ``stage<k>_shortcut`` (not of stage 1) and ``logit``.
    """

    weights: Mapping[str, Floats]

    def __call__(self, grey: NDArray[np.uint8]) -> Floats:
        """Return the logits of patches.

        Parameters
        ----------
        grey : (n, 48, 48) array of uint8
            Patches as `lidcflow.nodules.window.windowed` makes them.

        Returns
        -------
        (n,) array of float32
        """
        with one_blas_thread():
            parts = map_in_threads(self._logits, _batches(grey))
        return np.concatenate([np.empty(0, np.float32), *parts])

    def stage_features(self, grey: NDArray[np.uint8]) -> Floats:
        """Return what each stage finds in patches: mean, maximum and mean of the middle of its maps.

        Parameters
        ----------
        grey : (n, 48, 48) array of uint8
            Patches as `lidcflow.nodules.window.windowed` makes them.

        Returns
        -------
        (n, features) array of float32
            Three times the filters of each stage, the first stage first.
        """
        with one_blas_thread():
            parts = map_in_threads(self._pooled_stages, _batches(grey))
        return np.concatenate(parts)

    def _logits(self, grey: NDArray[np.uint8]) -> Floats:
        *_, maps = self._stages(grey)
        features = pooled(maps)
        logits: Floats = (features @ self.weights["logit/kernel"] + self.weights["logit/bias"])[:, 0]
        return logits

    def _pooled_stages(self, grey: NDArray[np.uint8]) -> Floats:
        return np.concatenate([pooled(maps) for maps in self._stages(grey)], axis=1)

    def _stages(self, grey: NDArray[np.uint8]) -> Iterator[Floats]:
        """Yield the maps after each stage."""
        maps = (grey.astype(np.float32) * np.float32(GAIN / 255) + np.float32(OFFSET))[..., None]
        maps = np.maximum(self._convolved(maps, "stem", stride=2), 0)
        for stage in range(1, STAGES + 1):
            maps = self._block(maps, f"stage{stage}", stride=1 if stage == 1 else 2)
            yield maps

    def _block(self, maps: Floats, name: str, stride: int) -> Floats:
        branch = np.maximum(self._convolved(maps, f"{name}_first", stride), 0)
        branch = self._convolved(branch, f"{name}_second")
        if stride == 2:
            maps = self._convolved(_halved(maps), f"{name}_shortcut")
        branch += maps
        return np.maximum(branch, 0, out=branch)

    def _convolved(self, maps: Floats, layer: str, stride: int = 1) -> Floats:
        return convolve(maps, self.weights[f"{layer}/kernel"], stride) + self.weights[f"{layer}/bias"]


def _batches(grey: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return [grey[start : start + BATCH] for start in range(0, len(grey), BATCH)]


def convolve(maps: Floats, kernel: Floats, stride: int) -> Floats:
    """Convolve maps, padded with zeros as Keras' ``same``.

    Parameters
    ----------
    maps : (n, rows, columns, in) array
    kernel : (k, k, in, out) array
    stride : int

    Examples
    --------
    >>> convolve(np.ones((1, 2, 2, 1), np.float32), np.ones((3, 3, 1, 1), np.float32), 2)[0, :, :, 0]
    array([[4.]], dtype=float32)
    """
    size = len(kernel)
    if size == 1:
        return np.asarray(maps[:, ::stride, ::stride] @ kernel[0, 0])
    padding = [(0, 0), *(_padding(side, size, stride) for side in maps.shape[1:3]), (0, 0)]
    windows = sliding_window_view(np.pad(maps, padding), (size, size), axis=(1, 2))[:, ::stride, ::stride]
    n, rows, columns = windows.shape[:3]
    flat = windows.transpose(0, 1, 2, 4, 5, 3).reshape(n * rows * columns, -1)
    return (flat @ kernel.reshape(flat.shape[1], -1)).reshape(n, rows, columns, -1)


def _padding(side: int, size: int, stride: int) -> tuple[int, int]:
    total = max((-(-side // stride) - 1) * stride + size - side, 0)
    return total // 2, total - total // 2


def _halved(maps: Floats) -> Floats:
    """Average 2 x 2 pixels."""
    n, rows, columns, filters = maps.shape
    halves: Floats = maps.reshape(n, rows // 2, 2, columns // 2, 2, filters).mean(axis=(2, 4))
    return halves


def pooled(maps: Floats) -> Floats:
    """Return mean, maximum and mean of the middle 2 x 2 of maps: a nodule is in the middle, and so is what matters."""
    middle = maps.shape[1] // 2
    centre = maps[:, middle - 1 : middle + 1, middle - 1 : middle + 1]
    return np.concatenate([maps.mean(axis=(1, 2)), maps.max(axis=(1, 2)), centre.mean(axis=(1, 2))], axis=1)
