"""A backbone of one's own in Keras: a `.keras` file of plain layers, with its images scaled as it was trained with.

Importing this module imports Keras.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lidcflow.config.science import ImagesConfig
from lidcflow.errors import ReleaseError, WeightsError
from lidcflow.learn.network_check import BACKBONE_CLASSES
from lidcflow.learn.network_file import load_network
from lidcflow.learn.runtime import keras


def load_own_network(file: Path, size: int, images: ImagesConfig) -> Any:
    """Load a network in safe mode, and put before it what turns planes of 0 to 255 into its images.

    Parameters
    ----------
    file : Path
        The `.keras` file, checked by its digest.
    size : int
        Rows and columns of the volumes.
    images : ImagesConfig
        What the network takes and makes.

    Returns
    -------
    keras.Model
        (n, size, size, 3) images of 0 to 255 -> (n, features) features.

    Raises
    ------
    WeightsError
        If the file holds anything but plain layers, or takes or makes other shapes.
    """
    try:
        network = load_network(file, f"backbone {file.name}", BACKBONE_CLASSES)
    except ReleaseError as error:
        raise WeightsError(str(error).replace("put the file back from a copy, or train again", WAY_OUT)) from None
    _check_shapes(network, size, images, file.name)
    planes = keras.Input((size, size, 3), name="images")
    prepared = keras.ops.flip(planes, axis=-1) if images.planes == "bgr" else planes
    scale = [images.scale / std for std in images.std]
    offset = [-mean / std for mean, std in zip(images.mean, images.std, strict=True)]
    prepared = keras.layers.Rescaling(scale, offset=offset, name="prepared")(prepared)
    if images.layout == "channels-first":
        prepared = keras.layers.Permute((3, 1, 2), name="channels_first")(prepared)
    return keras.Model(planes, network(prepared), name="own_features")


WAY_OUT = "save it again with keras.Model.save as a network of plain layers, without Lambda and custom ones"


def _check_shapes(network: Any, size: int, images: ImagesConfig, name: str) -> None:
    taken = (size, size, 3) if images.layout == "channels-last" else (3, size, size)
    shapes = getattr(network, "input_shape", None), getattr(network, "output_shape", None)
    inputs, outputs = (tuple(shape) if isinstance(shape, tuple) else () for shape in shapes)
    if len(inputs) != 4 or any(got not in (None, must) for got, must in zip(inputs[1:], taken, strict=True)):
        raise WeightsError(
            f"backbone {name}: must take images of {(None, *taken)}, got {inputs or 'several inputs'}; set "
            f"preprocess.size or train.images.layout to fit, or save a network for {size} x {size} pixels"
        )
    if outputs != (None, images.features):
        raise WeightsError(
            f"backbone {name}: must make {(None, images.features)} features, got {outputs or 'several outputs'}; "
            "correct train.images.features, or put a global pooling layer on top of its maps"
        )
