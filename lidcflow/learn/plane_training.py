"""Train small networks on planes through nodules: mirrored and turned, maybe the easy ones first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lidcflow.learn.runtime import is_run_eagerly, keras

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]

FIRST_SHARE, ALL_FROM = 1 / 3, 0.5
"""Curriculum: share of the easiest examples with which it starts, and of the steps after which it uses all."""


@dataclass(frozen=True)
class PlaneTraining:
    """Settings of a network's training.

    Attributes
    ----------
    steps, batch_size : int
        Steps of the optimizer and planes in each.
    learning_rate, weight_decay : float
        Highest rate, which falls along a cosine, and decay of the weights.
    """

    steps: int = 300
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.01


def train_on_planes(
    model: keras.Model,
    images: Floats,
    malignant: Flags,
    training: PlaneTraining,
    *,
    seed: int,
    easiness: NDArray[np.float64] | None = None,
    on_step: Callable[[int], None] = lambda _done: None,
) -> list[float]:
    """Train a network.

    Parameters
    ----------
    model : keras.Model
        (n, rows, columns, channels) images -> (n, 1) logits; rows and columns are equal.
    images : (n, rows, columns, channels) array of float32
    malignant : (n,) array of bool
    training : PlaneTraining
    seed : int
        Of the order and the mirroring.
    easiness : (n,) array, optional
        For a curriculum, which starts with the easiest.
    on_step : callable, optional
        Called with the steps done.

    Returns
    -------
    list of float
        Loss at the end of each step, as the mean of those so far.
    """
    rate = keras.optimizers.schedules.CosineDecay(training.learning_rate, training.steps, alpha=0.01)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=training.weight_decay, clipnorm=1.0)
    model.compile(
        optimizer,
        keras.losses.BinaryCrossentropy(from_logits=True),
        jit_compile=False,
        run_eagerly=is_run_eagerly(training.steps),
    )
    optimizer.build(model.trainable_variables)  # TensorFlow traces a step twice if the first one makes them
    loss: list[float] = []
    for rows, turn in _batches(len(images), training, seed, easiness):
        loss.append(float(model.train_on_batch(_turned(images[rows], turn), malignant[rows, None].astype(np.float32))))
        on_step(len(loss))
    return loss


def _batches(
    n: int, training: PlaneTraining, seed: int, easiness: NDArray[np.float64] | None
) -> Iterator[tuple[NDArray[np.int64], int]]:
    rng = np.random.default_rng(seed)
    order = np.arange(n) if easiness is None else np.argsort(-easiness, kind="stable")
    for step in range(training.steps):
        share = 1.0 if easiness is None else shown_share(step, training.steps)
        yield rng.choice(order[: max(1, round(share * n))], training.batch_size), int(rng.integers(8))


def shown_share(step: int, steps: int) -> float:
    """Return the share of the easiest nodules that a curriculum shows at a step.

    Examples
    --------
    >>> [round(shown_share(step, 8), 2) for step in (0, 2, 4, 7)]
    [0.33, 0.67, 1.0, 1.0]
    """
    return min(1.0, FIRST_SHARE + (1 - FIRST_SHARE) * step / (ALL_FROM * steps))


def _turned(images: Floats, turn: int) -> Floats:
    """Turn images by quarters, and mirror them from the fourth turn on."""
    turned = np.rot90(images, turn % 4, axes=(1, 2))
    return np.ascontiguousarray(turned[:, ::-1] if turn >= 4 else turned)


def answers_of(model: keras.Model, images: Floats, batch_size: int = 128) -> Floats:
    """Return a network's output for images, without training it."""
    starts = range(0, len(images), batch_size)
    parts = [model(images[start : start + batch_size], training=False) for start in starts]
    return np.concatenate([np.array(keras.ops.convert_to_numpy(part), np.float32) for part in parts])
