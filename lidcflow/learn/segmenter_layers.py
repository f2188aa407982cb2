"""The network of the segmenter in Keras, as it is trained, and its weights for `SegmenterNetwork`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from lidcflow.learn.runtime import keras
from lidcflow.nodules.segmenter_network import CHANNELS, SHAPES

EPSILON = 1e-3

RARE = -3.0
"""First bias of the logits: a twentieth of the voxels at most are in a nodule."""

PLAIN = ("logits",)
"""Layers without batch normalisation."""


def segmenter_layers(*, seed: int) -> keras.Model:
    """Build the network with random weights.

    Returns
    -------
    keras.Model
        (n, side, side, side, 10) maps of `lidcflow.nodules.segmenter_network.network_input` to (n, side, side, side, 8)
        logits, one for each voxel of a place; the side must be a multiple of 4.
    """
    seeds = {name: 1000 * seed + i for i, name in enumerate(SHAPES)}
    places = keras.Input((None, None, None, CHANNELS), name="places")
    fine = _twice(places, "fine", seeds)
    middle = _twice(keras.layers.AveragePooling3D(2)(fine), "middle", seeds)
    coarse = _twice(keras.layers.AveragePooling3D(2)(middle), "coarse", seeds)
    middle = _joined(coarse, middle, "middle", seeds)
    fine = _joined(middle, fine, "fine", seeds)
    return keras.Model(places, _convolved(fine, "logits", seeds))


def _twice(maps: keras.KerasTensor, scale: str, seeds: dict[str, int]) -> keras.KerasTensor:
    for part in ("first", "second"):
        maps = keras.layers.ReLU()(_convolved(maps, f"{scale}_{part}", seeds))
    return maps


def _joined(
    coarser: keras.KerasTensor, maps: keras.KerasTensor, scale: str, seeds: dict[str, int]
) -> keras.KerasTensor:
    widened = keras.layers.UpSampling3D(2)(_convolved(coarser, f"{scale}_widened", seeds))
    joined = keras.layers.ReLU()(keras.layers.Add()([widened, maps]))
    return keras.layers.ReLU()(_convolved(joined, f"{scale}_joined", seeds))


def _convolved(maps: keras.KerasTensor, name: str, seeds: dict[str, int]) -> keras.KerasTensor:
    size, _, filters = SHAPES[name]
    start = keras.initializers.HeNormal(seeds[name])
    plain = name in PLAIN
    maps = keras.layers.Conv3D(
        filters,
        size,
        padding="same",
        use_bias=plain,
        kernel_initializer=start,
        bias_initializer=keras.initializers.Constant(RARE),
        name=name,
    )(maps)
    return maps if plain else keras.layers.BatchNormalization(momentum=0.97, epsilon=EPSILON, name=f"{name}_norm")(maps)


def start_from(model: keras.Model, weights: Mapping[str, NDArray[np.float32]], places: NDArray[np.float32]) -> None:
    """Set a network to go on learning from folded weights: its answers are theirs.

    Parameters
    ----------
    model : keras.Model
        From `segmenter_layers`.
    weights : mapping of str to array
        As `folded_weights` returns them.
    places : (n, side, side, side, 10) array of float32
        Some views of what it will learn from: batch normalisation starts from their statistics.
    """
    normed = [name for name in SHAPES if name not in PLAIN]
    for name in PLAIN:
        model.get_layer(name).set_weights([weights[f"{name}/kernel"], weights[f"{name}/bias"]])
    for name in normed:
        bias = weights[f"{name}/bias"]
        model.get_layer(name).set_weights([weights[f"{name}/kernel"]])
        model.get_layer(f"{name}_norm").set_weights([_ones(bias), bias, 0 * bias, _ones(bias) ** 2 - EPSILON])
    convolved = keras.Model(model.input, [model.get_layer(name).output for name in normed])
    for name, maps in zip(normed, convolved(places, training=False), strict=True):
        axes = tuple(range(maps.ndim - 1))
        mean, variance = (_numbers(of(maps, axes)) for of in (keras.ops.mean, keras.ops.var))
        bias = weights[f"{name}/bias"]
        model.get_layer(f"{name}_norm").set_weights([np.sqrt(variance + EPSILON), bias + mean, mean, variance])


def _ones(bias: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ones_like(bias)


def folded_weights(model: keras.Model) -> dict[str, NDArray[np.float32]]:
    """Return the weights of a network from `segmenter_layers`, its batch normalisation folded into the convolutions.

    Returns
    -------
    dict of str to array of float32
        What `lidcflow.nodules.segmenter_network.SegmenterNetwork` takes.
    """
    weights: dict[str, NDArray[np.float32]] = {}
    for name in SHAPES:
        layer = model.get_layer(name)
        kernel, bias = (
            (_numbers(layer.kernel), _numbers(layer.bias))
            if name in PLAIN
            else _folded(layer, model.get_layer(f"{name}_norm"))
        )
        weights |= {f"{name}/kernel": kernel, f"{name}/bias": bias}
    return weights


def _folded(
    convolution: keras.layers.Layer, norm: keras.layers.Layer
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    gamma, beta, mean, variance = (
        _numbers(one) for one in (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
    )
    gain = gamma / np.sqrt(variance + np.float32(EPSILON))
    return _numbers(convolution.kernel) * gain, beta - mean * gain


def _numbers(variable: keras.Variable) -> NDArray[np.float32]:
    return np.array(keras.ops.convert_to_numpy(variable), np.float32)
