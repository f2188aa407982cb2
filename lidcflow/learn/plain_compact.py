"""The compact backbone as plain NumPy: one series is read without TensorFlow, whose import takes 5 s of CPU."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from lidcflow.config import TrainConfig
from lidcflow.learn.backbones import describe_backbone, weight_file
from lidcflow.learn.compact_shape import MOST_BYTES, STAGES
from lidcflow.learn.engines import Engine

Maps = NDArray[np.float32]

AT_ONCE = 3
"""Images in one product of matrices: its patches stay in the processor's cache."""


def plain_engine(config: TrainConfig, size: int) -> Engine | None:
    """Return the configured backbone as NumPy; None for one that needs Keras, or whose weights Keras has to judge.

    Its features are those of Keras in fp32 within 1e-5 of what tells slices apart, far less than float16 makes; as
    such they are not kept in the store, which never mixes features of different engines.

    Parameters
    ----------
    config : TrainConfig
        Backbone, engine and precision.
    size : int
        Rows and columns of the volumes.

    Raises
    ------
    WeightsError
        If the weight file is missing or not the one that was asked for.
    """
    if (config.backbone, config.engine, config.precision, config.first_block()) != ("compact", "keras", "fp32", None):
        return None
    backbone, content = describe_backbone(config, size), weight_file(config).read_bytes()
    if hashlib.sha256(content).hexdigest() != backbone.digest:
        return None
    try:
        return Engine(PlainCompact(content), backbone, 0.0)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None


class PlainCompact:
    """The compact backbone of a weight file.

    Parameters
    ----------
    content : bytes
        Of a file that `lidcflow.learn.compact.write_weights` made.

    Raises
    ------
    ValueError, KeyError, OSError, zipfile.BadZipFile
        If it is no such file, or lacks a layer.
    """

    def __init__(self, content: bytes) -> None:
        self._layers = read_layers(content)

    def __call__(self, images: Maps) -> Maps:
        """Return the features of images.

        Parameters
        ----------
        images : (n, size, size, 3) array of float32
            0 to 255.

        Returns
        -------
        (n, 384) array of float32
        """
        parts = [self._features(images[start : start + AT_ONCE]) for start in range(0, len(images), AT_ONCE)]
        return np.concatenate(parts)

    def _features(self, images: Maps) -> Maps:
        maps = images * np.float32(1 / 127.5) + np.float32(-1)
        maps = _relu(self._convolved(maps, "stem"))
        pooled: list[Maps] = []
        for stage, (_, blocks) in enumerate(STAGES, start=1):
            for block in range(1, blocks + 1):
                maps = self._block(maps, f"stage{stage}_block{block}", stride=2 if block == 1 else 1)
            pooled += [maps.mean(axis=(1, 2)), maps.max(axis=(1, 2))]
        return np.concatenate(pooled[-4:], axis=1)

    def _block(self, maps: Maps, name: str, *, stride: int) -> Maps:
        branch = _relu(self._convolved(maps, f"{name}_conv1", stride=stride))
        branch = self._convolved(branch, f"{name}_conv2")
        shortcut = maps if stride == 1 else self._convolved(maps, f"{name}_shortcut", stride=stride)
        return _relu(shortcut + branch)

    def _convolved(self, maps: Maps, name: str, *, stride: int = 1) -> Maps:
        kernel, bias = self._layers[name]
        return convolved(maps, kernel, stride=stride) + bias


def read_layers(content: bytes) -> Mapping[str, tuple[Maps, Maps]]:
    """Return kernel and bias of each convolution by its name; raise as `PlainCompact`."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if (total := sum(member.file_size for member in archive.infolist())) > MOST_BYTES:
            raise ValueError(f"arrays of {total} bytes")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        names = {path.partition("/")[0] for path in arrays.files}
        return {name: (_numbers(arrays[f"{name}/kernel"]), _numbers(arrays[f"{name}/bias"])) for name in names}


def convolved(maps: Maps, kernel: Maps, *, stride: int = 1) -> Maps:
    """Convolve maps with a kernel, with zeros beyond their edges as TensorFlow's ``same`` puts them.

    Parameters
    ----------
    maps : (n, rows, columns, channels) array of float32
    kernel : (k, k, channels, filters) array of float32
    stride : int
        Of rows and columns.

    Returns
    -------
    (n, ceil(rows / stride), ceil(columns / stride), filters) array of float32

    Examples
    --------
    >>> ones = np.ones((1, 2, 2, 1), np.float32)
    >>> convolved(ones, np.ones((3, 3, 1, 1), np.float32))[0, :, :, 0].tolist()
    [[4.0, 4.0], [4.0, 4.0]]
    """
    size, channels, filters = kernel.shape[0], kernel.shape[2], kernel.shape[3]
    rows, columns = (-(-length // stride) for length in maps.shape[1:3])
    padded = np.pad(maps, [(0, 0), *(_edges(length, size, stride) for length in maps.shape[1:3]), (0, 0)])
    patches = np.empty((len(maps), rows, columns, size, size, channels), np.float32)
    for i in range(size):
        for j in range(size):
            patches[:, :, :, i, j] = padded[:, i : i + stride * rows : stride, j : j + stride * columns : stride][
                :, :rows, :columns
            ]
    product: Maps = patches.reshape(-1, size * size * channels) @ kernel.reshape(-1, filters)
    return product.reshape(len(maps), rows, columns, filters)


def _edges(length: int, size: int, stride: int) -> tuple[int, int]:
    """Return how many zeros stand before and after; an odd one stands after."""
    total = max((-(-length // stride) - 1) * stride + size - length, 0)
    return total // 2, total - total // 2


def _relu(maps: Maps) -> Maps:
    return np.maximum(maps, np.float32(0), out=maps)


def _numbers(array: NDArray[np.float16]) -> Maps:
    if not np.isfinite(array).all():
        raise ValueError("numbers that are not finite")
    return array.astype(np.float32)
