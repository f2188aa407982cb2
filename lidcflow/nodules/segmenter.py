"""The segmenter: P(inside the nodule) of a cube's voxels, without TensorFlow."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lidcflow.blas import one_blas_thread
from lidcflow.compute_threads import map_in_threads
from lidcflow.nodules.outline import INSIDE
from lidcflow.nodules.segmenter_network import SHAPES, Floats, SegmenterNetwork
from lidcflow.nodules.weight_files import SEGMENTER
from lidcflow.nodules.window import windowed

WEIGHTS = Path(__file__).parent / "weights"
"""Folder of the segmenter that ships in the package."""

WEIGHT_FILE, CARD_FILE = SEGMENTER.weights, SEGMENTER.card

SIDE = 48
"""Voxels along each side of a cube."""

FIELD = 32
"""Voxels along each side of what the network is shown, as in its training: it knows places by their distance from the
border too."""

WIDER = SIDE / FIELD
"""A nodule that is large in its cube is seen in the whole cube as well, at a pitch that is wider by this."""

LARGE = 20.0
"""Diameter in voxels, in the whole cube, from which a nodule is large."""

VIEWS: tuple[tuple[int, ...], ...] = ((), (0,), (1,), (2,))
"""Axes that the views of a cube are mirrored along."""


class Network(Protocol):
    """Interface of a network for P(inside) of each voxel, see `lidcflow.nodules.segmenter_network.SegmenterNetwork`."""

    @property
    def weights(self) -> Mapping[str, Floats]:
        """By layer and part."""

    def __call__(self, grey: NDArray[np.uint8] | Floats, voxel_mm: float, /) -> Floats:
        """Return the logits of a cube's voxels."""


@dataclass(frozen=True)
class Segmenter:
    """A network and its card.

    Attributes
    ----------
    network : SegmenterNetwork
    card : mapping
        What the segmenter was trained on and what it reaches; see docs/segmenter.md.
    sha256 : str
        Digest of the weight file.
    """

    network: Network
    card: Mapping[str, Any]
    sha256: str

    def probabilities(self, cubes: NDArray[np.integer], voxel_mm: Sequence[float]) -> NDArray[np.float32]:
        """Return P(inside the nodule) of each voxel: the mean over a cube and its three mirror images.

        It is 0 outside of the middle 32 voxels unless the nodule is large in its cube.

        Parameters
        ----------
        cubes : (n, 48, 48, 48) array of int
            HU, the nodule in the middle; slices from the top of the chest, rows, columns.
        voxel_mm : sequence of n floats
            Distance of the voxels of each, the same along all axes.

        Returns
        -------
        (n, 48, 48, 48) array of float32

        Raises
        ------
        ValueError
            If the cubes have another shape, or are not as many as `voxel_mm`.
        """
        if cubes.shape != (len(voxel_mm), SIDE, SIDE, SIDE):
            raise ValueError(f"cubes must be {(len(voxel_mm), SIDE, SIDE, SIDE)}, got {cubes.shape}")
        found = np.empty(cubes.shape, np.float32)
        for i, pitch_mm in enumerate(voxel_mm):
            found[i] = self._probability(windowed(cubes[i]), pitch_mm)
        return found

    def _probability(self, grey: NDArray[np.uint8], pitch_mm: float) -> Floats:
        first = (SIDE - FIELD) // 2
        field = (slice(first, first + FIELD),) * 3
        probability = np.zeros(grey.shape, np.float32)
        probability[field] = self._seen(grey[field], pitch_mm, VIEWS)
        whole = resampled(grey.astype(np.float32), WIDER, FIELD)
        inside = self._seen(whole, pitch_mm * WIDER, VIEWS[:1]) >= INSIDE
        if _diameter(int(inside.sum())) * WIDER < LARGE:
            return probability
        wide = resampled(self._seen(whole, pitch_mm * WIDER, VIEWS), 1 / WIDER, SIDE)
        joined = wide.copy()
        joined[field] = (wide[field] + probability[field]) / 2
        return joined

    def _seen(self, grey: NDArray[np.uint8] | Floats, pitch_mm: float, views: tuple[tuple[int, ...], ...]) -> Floats:
        """Return the mean P over mirrored views."""
        with one_blas_thread():
            logits = map_in_threads(lambda axes: np.flip(self.network(np.flip(grey, axes), pitch_mm), axes), views)
        return np.asarray(np.mean([np.exp(-np.logaddexp(0, -one)) for one in logits], axis=0), np.float32)


def resampled(cube: Floats, step: float, side: int) -> Floats:
    """Return a cube of another pitch with the same middle.

    Parameters
    ----------
    cube : (n, n, n) array of float32
    step : float
        Pitch of the result, in voxels of `cube`.
    side : int
        Voxels along each side of the result.
    """
    offset = (len(cube) - 1) / 2 - step * (side - 1) / 2
    return np.asarray(
        ndimage.affine_transform(cube, [step] * 3, [offset] * 3, (side,) * 3, order=1, mode="nearest"), np.float32
    )


def _diameter(voxels: int) -> float:
    """Return the diameter of a sphere with a given number of voxels."""
    return float((6 * voxels / np.pi) ** (1 / 3))


@cache
def embedded_segmenter() -> Segmenter:
    """Read the segmenter that ships in the package, once in a process.

    Raises
    ------
    WeightsError
        If its files are missing or damaged.
    """
    return read_segmenter(WEIGHTS)


def read_segmenter(folder: Path) -> Segmenter:
    """Read a segmenter: weights and card.

    Parameters
    ----------
    folder : Path
        With ``segmenter.npz`` and ``segmenter.json``, as `write_segmenter` leaves them.

    Raises
    ------
    WeightsError
        If a file is missing or damaged, or the card is of other weights.
    """
    return SEGMENTER.read(folder, _made)


def _made(content: bytes, card: dict[str, Any], digest: str) -> Segmenter:
    return Segmenter(SegmenterNetwork(_weights(content)), card, digest)


def _weights(content: bytes) -> dict[str, Floats]:
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        weights = {name: arrays[name].astype(np.float32) for name in arrays.files}
    expected = shapes()
    if weights.keys() != expected.keys():
        raise ValueError(f"layers {', '.join(sorted(weights.keys() ^ expected.keys()))} amiss")
    if odd := [name for name, shape in expected.items() if weights[name].shape != shape]:
        raise ValueError(f"{odd[0]} of shape {weights[odd[0]].shape}")
    if not all(np.isfinite(array).all() for array in weights.values()):
        raise ValueError("weights that are no numbers")
    return weights


def shapes() -> dict[str, tuple[int, ...]]:
    """Return the shape of each array of weights."""
    kernels = {f"{name}/kernel": (size, size, size, taken, made) for name, (size, taken, made) in SHAPES.items()}
    return kernels | {f"{name}/bias": (made,) for name, (_, _, made) in SHAPES.items()}


def write_segmenter(folder: Path, weights: Mapping[str, Floats], card: Mapping[str, Any]) -> str:
    """Write a segmenter as float16: same weights, same bytes.

    Parameters
    ----------
    folder : Path
        Made if it does not exist.
    weights : mapping of str to array
        As `SegmenterNetwork` takes them.
    card : mapping
        The digest is put in here.

    Returns
    -------
    str
        SHA-256 of the weight file.
    """
    arrays = {name: array.astype(np.float16) for name, array in weights.items()}
    return SEGMENTER.write(folder, arrays, card)
