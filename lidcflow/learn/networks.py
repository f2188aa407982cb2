"""Load the network of a backbone in Keras.

Importing this module imports Keras; what a backbone is, `lidcflow.learn.backbones` knows without.
"""

import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lidcflow.config import TrainConfig
from lidcflow.config.science import ImagesConfig
from lidcflow.errors import WeightsError
from lidcflow.files import digest_of_file
from lidcflow.learn.backbones import Backbone, describe_backbone, weight_file
from lidcflow.learn.compact import compact_network, read_weights
from lidcflow.learn.network_check import check_arrays
from lidcflow.learn.own_network import load_own_network
from lidcflow.learn.runtime import COMPILED, keras, under_policy
from lidcflow.learn.truncate import bottom_of, top_of

CAFFE_MEAN_RGB = (123.68, 116.779, 103.939)
"""Means that Keras' ResNet-50 subtracts, in the order of the input; the network itself reads BGR."""


def load_backbone(config: TrainConfig, size: int, *, policy: str = "float32") -> tuple[keras.Model, Backbone]:
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
    file, block = weight_file(config), config.first_block()
    backbone = describe_backbone(config, size, file)
    if config.images:
        return _own(backbone, file, config.images), backbone
    whole = _whole(backbone, file, policy)
    if block is None:
        return whole, backbone
    key = (backbone.kind, backbone.digest, size, policy, block)
    with _loading:
        if key not in _loaded:
            _loaded[key] = _frozen(bottom_of(whole, backbone.kind, block))
        return _loaded[key], backbone


def load_top(config: TrainConfig, size: int, *, policy: str = "float32") -> keras.Model:
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
    file, block = weight_file(config), config.first_block()
    backbone = describe_backbone(config, size, file)
    return top_of(_whole(backbone, file, policy), backbone.kind, str(block))


def _whole(backbone: Backbone, file: Path, policy: str) -> keras.Model:
    key = (backbone.kind, backbone.digest, backbone.size, policy, None)
    with _loading:
        if key not in _loaded:
            with _checked_copy(file, backbone.digest) as own:
                _loaded[key] = _NETWORKS[backbone.kind](backbone.size, own, policy)
        return _loaded[key]


def _own(backbone: Backbone, file: Path, images: ImagesConfig) -> keras.Model:
    key = (backbone.id, backbone.digest, backbone.size, "float32", None)
    with _loading:
        if key not in _loaded:
            with _checked_copy(file, backbone.digest) as own:
                _loaded[key] = _frozen(load_own_network(own, backbone.size, images))
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


_loaded: dict[tuple[str, str, int, str, str | None], keras.Model] = {}
_loading = threading.Lock()


def _load_compact(size: int, file: Path, policy: str) -> keras.Model:
    model = compact_network(size, dtype=policy)
    read_weights(model, file)
    return _frozen(model)


def _load_resnet50(size: int, file: Path, policy: str) -> keras.Model:
    images = keras.Input((size, size, 3), name="images")
    offset = [-mean for mean in CAFFE_MEAN_RGB]
    centred = keras.layers.Rescaling(1.0, offset=offset, name="centred")(images)
    with under_policy(policy):
        network = keras.applications.ResNet50(
            include_top=False, weights=None, input_shape=(size, size, 3), pooling=None, name="resnet50"
        )
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


def _frozen(model: keras.Model) -> keras.Model:
    """Take a network out of training."""
    model.trainable = False
    model.jit_compile = COMPILED
    return model
