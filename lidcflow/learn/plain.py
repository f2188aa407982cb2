"""Heads as arithmetic: a head that is loaded to be asked needs no network, and is asked slice by slice of a sector.

Keras takes some 3 ms of CPU to apply a linear head to a sector, whatever its size, and NumPy 0.02 ms: with 13 sectors
that is half as long as preprocessing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lidcflow.learn.runtime import keras

Rows = NDArray[np.floating]
Step = Callable[[Rows], Rows]

MOST_DIFFERENCE = 1e-6
"""Of any probability from what Keras makes of the same features."""

PROBES = 8


class PlainHead:
    """A head of standard layers, one after another, as NumPy.

    Parameters
    ----------
    steps : list of callable
        From (n, d) to (n, d'), in their order.
    """

    def __init__(self, steps: list[Step]) -> None:
        self._steps = steps

    def __call__(self, features: Rows, training: bool = False) -> Rows:  # noqa: ARG002  as a Keras model is called
        """Return what the head makes of features."""
        for step in self._steps:
            features = step(features)
        return features


def plain_head(model: Any) -> Any:
    """Turn a loaded head into arithmetic; a model that is more than such a head is returned as it is.

    Parameters
    ----------
    model : keras.Model
        (n, d) features -> (n, 3) probabilities. What it learns later is not followed.

    Returns
    -------
    callable
        As the model, within `MOST_DIFFERENCE`: both have answered for made-up features.
    """
    if len(model.input_shape) != 2 or not all(type(layer) in _STEPS for layer in model.layers):
        return model
    plain = PlainHead([step for layer in model.layers for step in _STEPS[type(layer)](layer)])
    return plain if _agree(plain, model) else model


def _agree(plain: PlainHead, model: Any) -> bool:
    """Compare on made-up features, spread as those of training where the head standardises them."""
    rows = np.random.default_rng(0).normal(0.0, 1.0, (PROBES, model.input_shape[1])).astype(np.float32)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            rows = (_numbers(layer.mean) + np.sqrt(_numbers(layer.variance)) * rows).astype(np.float32)
            break
    expected = keras.ops.convert_to_numpy(model(rows, training=False))
    return bool(np.abs(plain(rows) - expected).max() <= MOST_DIFFERENCE)


def _normalization(layer: Any) -> Iterator[Step]:
    mean, variance = (_numbers(value) for value in (layer.mean, layer.variance))
    deviation = np.maximum(np.sqrt(variance), np.float32(keras.config.epsilon()))
    yield lambda rows: (rows - mean) / deviation


def _dense(layer: Any) -> Iterator[Step]:
    kernel, bias = _numbers(layer.kernel), _numbers(layer.bias)
    yield lambda rows: rows @ kernel + bias
    if layer.activation is keras.activations.relu:
        yield lambda rows: np.maximum(rows, np.float32(0))


def _rescaling(layer: Any) -> Iterator[Step]:
    scale, offset = np.float32(layer.scale), np.asarray(layer.offset, np.float32)
    yield lambda rows: rows * scale + offset


def _softmax(_: Any) -> Iterator[Step]:
    def softmax(rows: Rows) -> Rows:
        powers = np.exp(rows - rows.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    yield softmax


def _nothing(_: Any) -> Iterator[Step]:
    yield from ()


def _numbers(variable: Any) -> NDArray[np.float32]:
    numbers: NDArray[np.float32] = np.array(keras.ops.convert_to_numpy(variable), np.float32)
    return numbers


_STEPS: dict[type, Callable[[Any], Iterator[Step]]] = {
    keras.layers.InputLayer: _nothing,
    keras.layers.Dropout: _nothing,
    keras.layers.Normalization: _normalization,
    keras.layers.Dense: _dense,
    keras.layers.Rescaling: _rescaling,
    keras.layers.Softmax: _softmax,
}
"""What each layer of a head does when it answers. A wrong guess of any of it shows in `_agree`."""
