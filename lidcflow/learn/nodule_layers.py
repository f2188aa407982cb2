"""The network of the detector in Keras, as it is trained, and its weights for `DetectorNetwork`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from lidcflow.learn.runtime import keras
from lidcflow.nodules.detector_network import GAIN, OFFSET
from lidcflow.nodules.window import SIZE

FILTERS = (24, 48, 96)
"""Filters of the stages at 24 x 24, 12 x 12 and 6 x 6 pixels: 16 million multiplications per patch, 175,000 weights."""

EPSILON = 1e-3


def detector_layers(*, seed: int, dropout: float = 0.3) -> keras.Model:
    """Build the network with random weights.

    Returns
    -------
    keras.Model
        (n, 48, 48, 1) images of 0 to 1 -> (n, 1) logits.
    """
    seeds = iter(range(seed * 1000, seed * 1000 + 100))
    images = keras.Input((SIZE, SIZE, 1), name="images")
    maps = keras.layers.Rescaling(GAIN, OFFSET)(images)
    maps = keras.layers.ReLU()(_convolved(maps, "stem", FILTERS[0], 5, 2, next(seeds)))
    for stage, filters in enumerate(FILTERS, start=1):
        maps = _block(maps, f"stage{stage}", filters, 1 if stage == 1 else 2, next(seeds))
    spared = keras.layers.Dropout(dropout, seed=next(seeds))(_pooled(maps))
    logit = keras.layers.Dense(1, kernel_initializer=keras.initializers.GlorotUniform(next(seeds)), name="logit")
    return keras.Model(images, logit(spared))


def _block(maps: keras.KerasTensor, name: str, filters: int, stride: int, seed: int) -> keras.KerasTensor:
    branch = keras.layers.ReLU()(_convolved(maps, f"{name}_first", filters, 3, stride, 10 * seed))
    branch = _convolved(branch, f"{name}_second", filters, 3, 1, 10 * seed + 1)
    if stride == 2:
        maps = _convolved(keras.layers.AveragePooling2D(2)(maps), f"{name}_shortcut", filters, 1, 1, 10 * seed + 2)
    return keras.layers.ReLU()(keras.layers.Add()([maps, branch]))


def _convolved(
    maps: keras.KerasTensor, name: str, filters: int, size: int, stride: int, seed: int
) -> keras.KerasTensor:
    maps = keras.layers.Conv2D(
        filters,
        size,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer=keras.initializers.HeNormal(seed),
        name=name,
    )(maps)
    return keras.layers.BatchNormalization(momentum=0.98, epsilon=EPSILON, name=f"{name}_norm")(maps)


def _pooled(maps: keras.KerasTensor) -> keras.KerasTensor:
    centre = keras.layers.Cropping2D((maps.shape[1] - 2) // 2)(maps)
    return keras.layers.Concatenate()(
        [
            keras.layers.GlobalAveragePooling2D()(maps),
            keras.layers.GlobalMaxPooling2D()(maps),
            keras.layers.GlobalAveragePooling2D()(centre),
        ]
    )


def start_from(model: keras.Model, weights: Mapping[str, NDArray[np.float32]], images: NDArray[np.float32]) -> None:
    """Set a network to go on learning from folded weights: its answers are theirs.

    Parameters
    ----------
    model : keras.Model
        From `detector_layers`.
    weights : mapping of str to array
        As `folded_weights` returns them.
    images : (n, 48, 48, 1) array of float32
        Some batches of what it will learn from: batch normalisation starts from their statistics.
    """
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    norms = [model.get_layer(f"{layer.name}_norm") for layer in convolutions]
    biases = [weights[f"{layer.name}/bias"] for layer in convolutions]
    model.get_layer("logit").set_weights([weights["logit/kernel"], weights["logit/bias"]])
    for layer, norm, bias in zip(convolutions, norms, biases, strict=True):
        layer.set_weights([weights[f"{layer.name}/kernel"]])
        norm.set_weights([np.ones_like(bias), bias, np.zeros_like(bias), np.full_like(bias, 1 - EPSILON)])
    for norm, bias, maps in zip(norms, biases, _maps_of(model, convolutions, images), strict=True):
        mean, variance = maps.mean(axis=(0, 1, 2)), maps.var(axis=(0, 1, 2))
        norm.set_weights([np.sqrt(variance + EPSILON), bias + mean, mean, variance])


def _maps_of(
    model: keras.Model, layers: Sequence[keras.layers.Layer], images: NDArray[np.float32]
) -> list[NDArray[np.float32]]:
    """Return the outputs of layers in one pass: a prediction for each would trace a network for each."""
    outputs = keras.Model(model.input, [layer.output for layer in layers])(images, training=False)
    return [keras.ops.convert_to_numpy(maps) for maps in outputs]


def folded_weights(model: keras.Model) -> dict[str, NDArray[np.float32]]:
    """Return the weights of a network from `detector_layers`, its batch normalisation folded into the convolutions.

    Returns
    -------
    dict of str to array of float32
        What `lidcflow.nodules.detector_network.DetectorNetwork` takes.
    """
    weights: dict[str, NDArray[np.float32]] = {}
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            weights |= _folded(layer.name, layer, model.get_layer(f"{layer.name}_norm"))
    kernel, bias = (_numbers(variable) for variable in model.get_layer("logit").weights)
    return {**weights, "logit/kernel": kernel, "logit/bias": bias}


def _folded(name: str, convolution: keras.layers.Layer, norm: keras.layers.Layer) -> dict[str, NDArray[np.float32]]:
    gamma, beta, mean, variance = (
        _numbers(one) for one in (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
    )
    gain = gamma / np.sqrt(variance + np.float32(EPSILON))
    return {f"{name}/kernel": _numbers(convolution.kernel) * gain, f"{name}/bias": beta - mean * gain}


def _numbers(variable: keras.Variable) -> NDArray[np.float32]:
    return np.array(keras.ops.convert_to_numpy(variable), np.float32)
