"""The linear head, trained as arithmetic: softmax regression by Adam, a batch in some 40 microseconds.

Keras takes about 1.3 ms for the same batch, all of it overhead, and a head of the whole of LIDC-IDRI has thousands of
batches. Networks with hidden layers are trained by Keras.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from lidcflow.learn.class_weights import CLASSES
from lidcflow.learn.epochs import Figures, mean_figures

FIRST_DECAY, SECOND_DECAY, EPSILON = 0.9, 0.999, 1e-7
"""Keras' defaults for Adam."""

Floats = NDArray[np.float32]


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
