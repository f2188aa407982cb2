"""The linear head as plain arithmetic: trained as softmax regression by Adam, applied without Keras.

Keras takes about 1.3 ms for the same batch, all of it overhead, and a head of the whole of LIDC-IDRI has thousands of
batches. Networks with hidden layers are trained by Keras.

Keras takes some 3 ms of CPU to apply a linear head to a sector, whatever its size, and NumPy 0.02 ms: with 13 sectors
that is half as long as preprocessing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lidcflow.learn.plain_head import NumpyEnsemble, NumpyHead, Step, dense, normalised, rescaled, softmax
from lidcflow.learn.runtime import keras
from lidcflow.learn.training_set import CLASSES

Figures = tuple[float, float]
"""Loss, weighted by class and with penalties; and accuracy, which is not weighted."""


FIRST_DECAY, SECOND_DECAY, EPSILON = 0.9, 0.999, 1e-7
"""Keras' defaults for Adam."""

Floats = NDArray[np.float32]

MOST_DIFFERENCE = 1e-6
"""Largest difference of a probability from the one that Keras computes from the same features."""

PROBES = 8


def mean_figures(batches: Sequence[Figures]) -> Figures:
    """Return the figures of an epoch from those of its batches, which are of one size.

    Examples
    --------
    >>> mean_figures([(1.0, 0.5), (2.0, 1.0)])
    (1.5, 0.75)
    """
    loss, accuracy = np.mean(batches, axis=0).tolist()
    return loss, accuracy


def figures_of(logs: dict[str, Any]) -> Figures:
    """Return Keras' figures of one batch alone, for it forgets the others."""
    return float(logs["loss"]), float(logs["accuracy"])


class LinearHead:
    """Softmax regression whose weights start from zero.

    Parameters
    ----------
    features : int
        Features of a slice.
    learning_rate : float
        Step size of Adam.
    l2 : float
        Penalty on the square of each weight of the kernel.

    References
    ----------
    Kingma and Ba, Adam: A Method for Stochastic Optimization, ICLR 2015, algorithm 1, in the order of computation at
    the end of its section 2.

    Examples
    --------
    >>> head = LinearHead(2, learning_rate=0.1, l2=0.0)
    >>> x, y = np.eye(2, dtype=np.float32), np.array([0, 1])
    >>> weight = np.ones(2, np.float32)
    >>> first = head.measure(x, y, weight)
    >>> _ = head.train_epoch(x, y, weight, [np.array([0, 1])] * 5)
    >>> head.measure(x, y, weight)[0] < first[0]
    True
    """

    def __init__(self, features: int, *, learning_rate: float, l2: float) -> None:
        self._learning_rate, self._l2 = learning_rate, np.float32(l2)
        self._weights = np.zeros((features + 1, CLASSES), np.float32)  # the last row is the bias
        self._first, self._second = np.zeros_like(self._weights), np.zeros_like(self._weights)
        self._step = 0

    def train_epoch(
        self, x: Floats, y: NDArray[np.integer], weight: Floats, batches: Iterable[NDArray[np.intp]]
    ) -> Figures:
        """Take a step for each batch and return the means of what the batches showed before their steps.

        Parameters
        ----------
        x : (n, d) array of float32
            Standardised features.
        y : (n,) array of int
            Classes, 0 to 2.
        weight : (n,) array of float32
            Weights of the slices.
        batches : iterable of (batch,) arrays of int
            Rows of each batch; all of one size.
        """
        with np.errstate(all="ignore"):  # a loss that is not a number is the caller's to find
            return mean_figures([self._learn(x[rows], y[rows], weight[rows]) for rows in batches])

    def measure(self, x: Floats, y: NDArray[np.integer], weight: Floats) -> Figures:
        """Return loss and accuracy of slices, and learn nothing from them."""
        with np.errstate(all="ignore"):
            probabilities, correct = self._answers(x, y)
            return self._loss(probabilities, y, weight), float(correct.mean())

    def get_weights(self) -> list[Floats]:
        """Return copies of the (d, 3) kernel and the (3,) bias."""
        return [self._weights[:-1].copy(), self._weights[-1].copy()]

    def _learn(self, x: Floats, y: NDArray[np.integer], weight: Floats) -> Figures:
        probabilities, correct = self._answers(x, y)
        figures = self._loss(probabilities, y, weight), float(correct.mean())
        excess = probabilities
        excess[np.arange(len(y)), y] -= 1
        excess *= (weight / np.float32(len(y)))[:, None]
        self._descend(np.vstack([x.T @ excess + 2 * self._l2 * self._weights[:-1], excess.sum(axis=0)]))
        return figures

    def _answers(self, x: Floats, y: NDArray[np.integer]) -> tuple[Floats, NDArray[np.bool_]]:
        logits = x @ self._weights[:-1] + self._weights[-1]
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True), logits.argmax(axis=1) == y

    def _loss(self, probabilities: Floats, y: NDArray[np.integer], weight: Floats) -> float:
        of_truth = np.maximum(probabilities[np.arange(len(y)), y], np.finfo(np.float32).tiny)
        penalty = self._l2 * np.square(self._weights[:-1]).sum()
        return float((weight * -np.log(of_truth)).mean() + penalty)

    def _descend(self, gradient: Floats) -> None:
        self._step += 1
        self._first += (gradient - self._first) * np.float32(1 - FIRST_DECAY)
        self._second += (np.square(gradient) - self._second) * np.float32(1 - SECOND_DECAY)
        correction = np.sqrt(1 - SECOND_DECAY**self._step) / (1 - FIRST_DECAY**self._step)
        rate = np.float32(self._learning_rate * correction)
        self._weights -= rate * self._first / (np.sqrt(self._second) + np.float32(EPSILON))


def numpy_head(model: Any) -> Any:
    """Turn a loaded head into arithmetic; a model that is more than such a head is returned as it is.

    Parameters
    ----------
    model : keras.Model
        (n, d) features -> (n, 3) probabilities. What it learns later is not followed.

    Returns
    -------
    callable
        As the model, within `MOST_DIFFERENCE`: both have answered for made-up features. An ensemble, whose layers are
        members and their average, is a `NumpyEnsemble`.
    """
    if members := _members(model):
        return NumpyEnsemble([numpy_head(member) for member in members])
    if len(model.input_shape) != 2 or not all(type(layer) in _STEPS for layer in model.layers):
        return model
    plain = NumpyHead([step for layer in model.layers for step in _STEPS[type(layer)](layer)])
    return plain if _agree(plain, model) else model


def _members(model: Any) -> list[Any]:
    """Return the models that a model averages; none where it is more than that."""
    inputs, *members, average = model.layers if len(model.layers) > 2 else (None, None)
    plain = isinstance(inputs, keras.layers.InputLayer) and type(average) is keras.layers.Average
    return members if plain and all(isinstance(member, keras.Model) for member in members) else []


def _agree(plain: NumpyHead, model: Any) -> bool:
    """Compare on made-up features, spread as those of training where the head standardises them."""
    rows = np.random.default_rng(0).normal(0.0, 1.0, (PROBES, model.input_shape[1])).astype(np.float32)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            rows = (_numbers(layer.mean) + np.sqrt(_numbers(layer.variance)) * rows).astype(np.float32)
            break
    expected = keras.ops.convert_to_numpy(model(rows, training=False))
    return bool(np.abs(plain(rows) - expected).max() <= MOST_DIFFERENCE)


def _normalization(layer: Any) -> Iterator[Step]:
    yield normalised(_numbers(layer.mean), _numbers(layer.variance), keras.config.epsilon())


def _dense(layer: Any) -> Iterator[Step]:
    yield from dense(_numbers(layer.kernel), _numbers(layer.bias), relu=layer.activation is keras.activations.relu)


def _rescaling(layer: Any) -> Iterator[Step]:
    yield rescaled(layer.scale, layer.offset)


def _softmax(_: Any) -> Iterator[Step]:
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
"""Arithmetic of each layer of a head. A wrong assumption shows in `_agree`."""
