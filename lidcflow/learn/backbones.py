"""Backbones: frozen networks that turn an image of a slice into features, pinned by their weights' digest.

Where the last blocks of one are to learn, the part below them is the backbone, and its features are activation maps.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lidcflow.config import TrainConfig
from lidcflow.errors import WeightsError
from lidcflow.files import digest_of_file
from lidcflow.learn.boundaries import map_shape
from lidcflow.learn.inputs import Input

COMPACT_SHA256 = "4d903bc3e03f5047fc5c2edf736288c83b78f14b3b63d25d1d8ef701dea3a595"
"""Digest of the weight file in this package."""

RESNET50_FILE = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
RESNET50_URL = f"https://storage.googleapis.com/tensorflow/keras-applications/resnet/{RESNET50_FILE}"
RESNET50_MD5 = "4d473c1dd8becc155b73f8504c6f6626"
"""Keras' own check of its download, from keras.applications.resnet."""

FEATURE_DIMS = {"compact": 384, "resnet50": 2048}


Network = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""(n, size, size, 3) images of 0 to 255 -> (n, feature_dim) features."""


@dataclass(frozen=True, slots=True)
class Backbone:
    """Origin of a feature; `id` names the features in the store.

    Attributes
    ----------
    id : str
        ``<kind>-<first 12 digits of the digest>-<input>-<size>``, ``-below-<block>`` where it ends before a block
        that learns, ``-images-<digits>`` for how one's own network takes its images, and ``-<engine>-<precision>``
        unless they are ``keras`` and ``fp32``: features of different engines are never mixed.
    kind : str
        ``compact`` or ``resnet50``; ``keras`` or ``onnx`` for a network of one's own in such a file.
    digest : str
        SHA-256 of the weight file, 64 hexadecimal digits.
    input : str
        ``gray``, ``max`` or ``projections``, see `lidcflow.learn.inputs`.
    size : int
        Rows and columns of the images.
    feature_dim : int
        Features of one slice: numbers in its maps, where it ends before a block.
    """

    id: str
    kind: Literal["compact", "resnet50", "keras", "onnx"]
    digest: str
    input: Input
    size: int
    feature_dim: int


def backbone_id(config: TrainConfig, size: int) -> str:
    """Name the features that a configuration makes.

    Keras is imported only for `resnet50` without a file, to look in Keras' own download cache.

    Raises
    ------
    WeightsError
        If the weight file is missing or not the one that was asked for.
    """
    return describe_backbone(config, size).id


def describe_backbone(config: TrainConfig, size: int, file: Path | None = None) -> Backbone:
    """Return which backbone a configuration asks for, its weight file checked but not loaded.

    Parameters
    ----------
    config : TrainConfig
        Kind, input and weight file.
    size : int
        Rows and columns of the volumes.
    file : Path, optional
        The weight file, from `weight_file`; found by default.

    Raises
    ------
    WeightsError
        If the weight file is missing or not the one that was asked for.
    """
    digest, block = _checked_digest(config, file or weight_file(config)), config.first_block()
    below = f"-below-{block}" if block else ""
    images = f"-images-{config.images.digest[:6]}" if config.images else ""
    return Backbone(
        id=f"{config.backbone}-{digest[:12]}-{config.input}-{size}{below}{images}{_engine_suffix(config)}",
        kind=config.backbone,
        digest=digest,
        input=config.input,
        size=size,
        feature_dim=_feature_dim(config, block, size),
    )


def _feature_dim(config: TrainConfig, block: str | None, size: int) -> int:
    if config.images:
        return config.images.features
    return math.prod(map_shape(config.backbone, block, size)) if block else FEATURE_DIMS[config.backbone]


def _engine_suffix(config: TrainConfig) -> str:
    computed_with = f"-{config.engine}-{config.precision}"
    return "" if computed_with == "-keras-fp32" else computed_with


def weight_file(config: TrainConfig) -> Path:
    """Return the weight file that a configuration asks for; Keras' own is downloaded if need be.

    Raises
    ------
    WeightsError
        If it is missing.
    """
    if config.backbone_weights is not None:
        if not config.backbone_weights.is_file():
            raise WeightsError(
                f"backbone weights {config.backbone_weights}: the file must exist; check train.backbone_weights"
            )
        return config.backbone_weights
    if config.images:
        raise WeightsError(
            f'backbone weights: train.backbone = "{config.backbone}" must have its file in train.backbone_weights, got '
            "none; set it to the network's file, with train.backbone_sha256, here and on every worker"
        )
    return _shipped_file() if config.backbone == "compact" else _downloaded_file()


def _shipped_file() -> Path:
    with as_file(files("lidcflow.learn") / "weights" / "compact.npz") as file:
        if not file.is_file():
            raise WeightsError(
                f"backbone weights {file.name}: the file must be in the package; install lidcflow again, "
                "or make it with `lidcflow pretrain` and set train.backbone_weights"
            )
        return file


def _downloaded_file() -> Path:
    """Return Keras' copy of the ImageNet weights, downloading it when it is not there yet."""
    from lidcflow.learn.runtime import keras  # seconds, which only this weight file asks for

    try:
        return Path(keras.utils.get_file(RESNET50_FILE, RESNET50_URL, cache_subdir="models", file_hash=RESNET50_MD5))
    except Exception as error:
        raise WeightsError(
            f"backbone weights {RESNET50_FILE}: must be in Keras' cache or downloadable, got {error}; fetch the file "
            'where there is a network and set train.backbone_weights, or use train.backbone = "compact"'
        ) from None


def _checked_digest(config: TrainConfig, file: Path) -> str:
    digest = _sha256(file, file.stat().st_mtime_ns, file.stat().st_size)
    expected = config.backbone_sha256
    if expected is None and config.backbone == "compact" and config.backbone_weights is None:
        expected = COMPACT_SHA256
    if expected is None and config.images:
        raise WeightsError(
            f"backbone weights {file.name}: train.backbone_sha256 must be set for a network of one's own, got none; "
            f"the file's is {digest}"
        )
    if expected is not None and digest != expected:
        raise WeightsError(
            f"backbone weights {file.name}: SHA-256 must be {expected}, got {digest}; "
            "the file is damaged or another one, replace it or correct train.backbone_sha256"
        )
    return digest


@lru_cache(maxsize=8)
def _sha256(file: Path, mtime_ns: int, size_bytes: int) -> str:  # noqa: ARG001  a changed file is hashed again
    return digest_of_file(file)
