"""The compact backbone: a small residual network for nodules of a few pixels, and its weight file."""

import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lidcflow.errors import WeightsError
from lidcflow.files import whole_file
from lidcflow.learn.compact_shape import MOST_BYTES, STAGES, STEM_FILTERS
from lidcflow.learn.runtime import keras

FEATURE_DIM = 2 * (STAGES[-2][0] + STAGES[-1][0])


def compact_network(size: int, *, dtype: str = "float32") -> keras.Model:
    """Build the compact backbone with random weights.

    Parameters
    ----------
    size : int
        Rows and columns of the images, divisible by 8 or not.
    dtype : str
        Keras' policy of the layers.

    Returns
    -------
    keras.Model
        (n, size, size, 3) images of 0 to 255 -> (n, 384) features.
    """
    images = keras.Input((size, size, 3), name="images")
    features, _ = compact_layers(images, dtype=dtype)
    return keras.Model(images, features, name="compact")


def compact_layers(
    images: keras.KerasTensor, *, dtype: str = "float32", seed: int = 0
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Lay the compact backbone over `images`.

    There is no normalisation layer: the last convolution of a block starts at zero instead, so that a
    block starts as its shortcut. That is half the cost of an image on a CPU.

    Parameters
    ----------
    images : (n, rows, columns, 3) tensor
        Images of 0 to 255.
    dtype : str
        Keras' policy of the layers; ``mixed_bfloat16`` trains several times as fast on newer CPUs.
    seed : int
        Seed of the initial weights.

    Returns
    -------
    features : (n, 384) tensor
        Mean and maximum over the image of the last two stages.
    cells : (n, rows / 8, columns / 8, 128) tensor
        Output of the last stage.
    """
    seeds = iter(range(seed, seed + 100))
    maps = keras.layers.Rescaling(1 / 127.5, offset=-1, dtype=dtype, name="scaled")(images)
    maps = _convolved(maps, STEM_FILTERS, "stem", dtype=dtype, seed=next(seeds))
    pooled = []
    for stage, (filters, blocks) in enumerate(STAGES, start=1):
        for block in range(1, blocks + 1):
            stride = 2 if block == 1 else 1
            maps = _block(maps, filters, stride, f"stage{stage}_block{block}", dtype, next(seeds))
        pooled += [
            keras.layers.GlobalAveragePooling2D(dtype=dtype, name=f"stage{stage}_mean")(maps),
            keras.layers.GlobalMaxPooling2D(dtype=dtype, name=f"stage{stage}_max")(maps),
        ]
    return keras.layers.Concatenate(dtype="float32", name="features")(pooled[-4:]), maps


def _block(maps: keras.KerasTensor, filters: int, stride: int, name: str, dtype: str, seed: int) -> keras.KerasTensor:
    branch = _convolved(maps, filters, f"{name}_conv1", stride=stride, dtype=dtype, seed=seed)
    branch = keras.layers.Conv2D(
        filters, 3, padding="same", kernel_initializer="zeros", dtype=dtype, name=f"{name}_conv2"
    )(branch)
    shortcut = maps
    if stride != 1:
        shortcut = keras.layers.Conv2D(
            filters,
            1,
            strides=stride,
            dtype=dtype,
            name=f"{name}_shortcut",
            kernel_initializer=keras.initializers.HeNormal(seed=seed),
        )(maps)
    total = keras.layers.Add(dtype=dtype, name=f"{name}_sum")([shortcut, branch])
    return keras.layers.ReLU(dtype=dtype, name=f"{name}_relu")(total)


def _convolved(
    maps: keras.KerasTensor, filters: int, name: str, *, stride: int = 1, dtype: str, seed: int
) -> keras.KerasTensor:
    return keras.layers.Conv2D(
        filters,
        3,
        strides=stride,
        padding="same",
        activation="relu",
        dtype=dtype,
        name=name,
        kernel_initializer=keras.initializers.HeNormal(seed=seed),
    )(maps)


def write_weights(model: keras.Model, file: Path) -> None:
    """Write the weights of `model` as float16 arrays named by layer; same weights, same bytes.

    Parameters
    ----------
    model : keras.Model
        The compact backbone.
    file : Path
        An ``.npz`` file, replaced in one step.
    """
    arrays: dict[str, NDArray[np.float16]] = {
        weight.path: keras.ops.convert_to_numpy(weight).astype(np.float16) for weight in model.weights
    }
    with whole_file(file) as draft, draft.open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]


def read_weights(model: keras.Model, file: Path) -> None:
    """Set the weights of `model` from a file that `write_weights` made.

    Raises
    ------
    WeightsError
        If the file is not such a file, or holds other layers or shapes than the network.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            if (total := sum(member.file_size for member in archive.infolist())) > MOST_BYTES:
                raise ValueError(f"arrays of {total} bytes")
        with np.load(file, allow_pickle=False) as arrays:
            model.set_weights([_fitting(arrays[weight.path], weight) for weight in model.weights])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise WeightsError(
            f"backbone weights {file.name}: must hold the weights of the compact backbone, got {error}; "
            "make them with `lidcflow pretrain`"
        ) from None


def _fitting(array: NDArray[np.float16], weight: keras.Variable) -> NDArray[np.float32]:
    if array.shape != tuple(weight.shape) or not np.isfinite(array).all():
        raise ValueError(f"{weight.path} of shape {array.shape} instead of finite {tuple(weight.shape)}")
    return array.astype(np.float32)
