"""Backbones: frozen networks that turn an image of a slice into features, pinned by their weights' digest.

Where the last blocks of one are to learn, the part below them is the backbone, and its features are activation maps.
"""

import math
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lidcflow.config import TrainConfig
from lidcflow.errors import WeightsError
from lidcflow.files import digest_of_file
from lidcflow.learn.inputs import Input
from lidcflow.learn.truncate import bottom_of, map_shape, top_of

if TYPE_CHECKING:
    import keras

COMPACT_SHA256 = "4d903bc3e03f5047fc5c2edf736288c83b78f14b3b63d25d1d8ef701dea3a595"
"""Digest of the weight file in this package."""

RESNET50_FILE = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
RESNET50_URL = f"https://storage.googleapis.com/tensorflow/keras-applications/resnet/{RESNET50_FILE}"
RESNET50_MD5 = "4d473c1dd8becc155b73f8504c6f6626"
"""Keras' own check of its download, from keras.applications.resnet."""

CAFFE_MEAN_RGB = (123.68, 116.779, 103.939)
"""What Keras' ResNet-50 subtracts, in the order of the input; the network itself reads BGR."""

FEATURE_DIMS = {"compact": 384, "resnet50": 2048}


@dataclass(frozen=True, slots=True)
class Backbone:
    """What a feature was made with; `id` names the features in the store.

    Attributes
    ----------
    id : str
        ``<kind>-<first 12 digits of the digest>-<input>-<size>``, ``-below-<block>`` where it ends before a block
        that learns, and ``-<engine>-<precision>`` unless they are ``keras`` and ``fp32``: features of different
        engines are never mixed.
    kind : str
        ``compact`` or ``resnet50``.
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
    kind: Literal["compact", "resnet50"]
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


def describe_backbone(config: TrainConfig, size: int) -> Backbone:
    """Say which backbone a configuration asks for, its weight file checked but not loaded.

    Parameters
    ----------
    config : TrainConfig
        Kind, input and weight file.
    size : int
        Rows and columns of the volumes.

    Raises
    ------
    WeightsError
        If the weight file is missing or not the one that was asked for.
    """
    return _describe(config, size, _weight_file(config))


def load_backbone(config: TrainConfig, size: int, *, policy: str = "float32") -> tuple["keras.Model", Backbone]:
    """Load a backbone, once in a process.

    Parameters
    ----------
    config : TrainConfig
        Kind, input and weight file.
    size : int
        Rows and columns of the volumes.
    policy : str
        Keras' policy of the layers; images and features are float32 in any case.

    Returns
    -------
    model : keras.Model
        (n, size, size, 3) images of 0 to 255 -> (n, feature_dim) features, or (n, rows, columns, channels) maps
        where `config` finetunes from a block.
    backbone : Backbone
        What it is.

    Raises
    ------
    WeightsError
        If the weight file is missing, not the one that was asked for, or does not fit the network.
    """
    file, block = _weight_file(config), config.first_block()
    backbone = _describe(config, size, file)
    whole = _whole(backbone, file, policy)
    if block is None:
        return whole, backbone
    key = (backbone.kind, backbone.digest, size, policy, block)
    with _loading:
        if key not in _loaded:
            _loaded[key] = _frozen(bottom_of(whole, backbone.kind, block))
        return _loaded[key], backbone


def load_top(config: TrainConfig, size: int, *, policy: str = "float32") -> "keras.Model":
    """Load the part of a backbone that learns, each time anew.

    Parameters
    ----------
    config : TrainConfig
        Kind, weight file and block, its mode ``finetune``.
    size : int
        Rows and columns of the volumes.
    policy : str
        Keras' policy of the layers; maps and features are float32 in any case.

    Returns
    -------
    keras.Model
        (n, rows, columns, channels) maps of `load_backbone`'s model -> (n, d) features, as the whole makes them.

    Raises
    ------
    WeightsError
        If the weight file is missing, not the one that was asked for, or does not fit the network.
    """
    file, block = _weight_file(config), config.first_block()
    backbone = _describe(config, size, file)
    return top_of(_whole(backbone, file, policy), backbone.kind, str(block))


def _whole(backbone: Backbone, file: Path, policy: str) -> "keras.Model":
    key = (backbone.kind, backbone.digest, backbone.size, policy, None)
    with _loading:
        if key not in _loaded:
            with _checked_copy(file, backbone.digest) as own:
                _loaded[key] = _NETWORKS[backbone.kind](backbone.size, own, policy)
        return _loaded[key]


@contextmanager
def _checked_copy(file: Path, digest: str) -> Iterator[Path]:
    """Copy a weight file to where nobody else writes, so that what is loaded is what was checked.

    A process that runs for weeks has checked the file once, and knows a changed one by time and size alone.
    """
    with tempfile.TemporaryDirectory(prefix="lidcflow-weights-") as folder:
        copy = Path(shutil.copyfile(file, Path(folder, file.name)))
        if (found := digest_of_file(copy)) != digest:
            raise WeightsError(
                f"backbone weights {file.name}: SHA-256 must be {digest}, as it was a moment ago, got {found}; "
                "somebody changes the file, put the right one back and run again"
            )
        yield copy


_loaded: dict[tuple[str, str, int, str, str | None], "keras.Model"] = {}
_loading = threading.Lock()


def _describe(config: TrainConfig, size: int, file: Path) -> Backbone:
    digest, block = _checked_digest(config, file), config.first_block()
    below = f"-below-{block}" if block else ""
    return Backbone(
        id=f"{config.backbone}-{digest[:12]}-{config.input}-{size}{below}{_engine_suffix(config)}",
        kind=config.backbone,
        digest=digest,
        input=config.input,
        size=size,
        feature_dim=math.prod(map_shape(config.backbone, block, size)) if block else FEATURE_DIMS[config.backbone],
    )


def _engine_suffix(config: TrainConfig) -> str:
    computed_with = f"-{config.engine}-{config.precision}"
    return "" if computed_with == "-keras-fp32" else computed_with


def _weight_file(config: TrainConfig) -> Path:
    if config.backbone_weights is not None:
        if not config.backbone_weights.is_file():
            raise WeightsError(
                f"backbone weights {config.backbone_weights}: the file must exist; check train.backbone_weights"
            )
        return config.backbone_weights
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
    from lidcflow.learn.runtime import keras

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
    if expected is not None and digest != expected:
        raise WeightsError(
            f"backbone weights {file.name}: SHA-256 must be {expected}, got {digest}; "
            "the file is damaged or another one, replace it or correct train.backbone_sha256"
        )
    return digest


@lru_cache(maxsize=8)
def _sha256(file: Path, mtime_ns: int, size_bytes: int) -> str:  # noqa: ARG001  a changed file is hashed again
    return digest_of_file(file)


def _load_compact(size: int, file: Path, policy: str) -> "keras.Model":
    from lidcflow.learn.compact import compact_network, read_weights

    model = compact_network(size, dtype=policy)
    read_weights(model, file)
    return _frozen(model)


def _load_resnet50(size: int, file: Path, policy: str) -> "keras.Model":
    from lidcflow.learn.runtime import keras, under_policy

    images = keras.Input((size, size, 3), name="images")
    offset = [-mean for mean in CAFFE_MEAN_RGB]
    centred = keras.layers.Rescaling(1.0, offset=offset, name="centred")(images)
    with under_policy(policy):
        network = keras.applications.ResNet50(
            include_top=False, weights=None, input_shape=(size, size, 3), pooling=None, name="resnet50"
        )
    from lidcflow.learn.network_file import check_arrays

    try:
        check_arrays(file)
        network.load_weights(file)
    except (OSError, ValueError, KeyError) as error:
        raise WeightsError(
            f"backbone weights {file.name}: must hold Keras' ResNet-50 without top, got {error}; "
            "use the file that Keras publishes"
        ) from None
    maps = network(keras.ops.flip(centred, axis=-1))
    features = keras.layers.GlobalAveragePooling2D(dtype="float32", name="features")(maps)
    return _frozen(keras.Model(images, features, name="resnet50_features"))


_NETWORKS = {"compact": _load_compact, "resnet50": _load_resnet50}


def _frozen(model: "keras.Model") -> "keras.Model":
    """Take a network out of training."""
    from lidcflow.learn.runtime import COMPILED

    model.trainable = False
    model.jit_compile = COMPILED
    return model
