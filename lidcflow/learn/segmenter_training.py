"""Training of the segmenter on outlined cubes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lidcflow.blas import one_blas_thread
from lidcflow.learn.fitting import prefetch
from lidcflow.learn.rates import warmed_cosine
from lidcflow.learn.runtime import is_run_eagerly, keras
from lidcflow.learn.segmenter_layers import folded_weights, segmenter_layers, start_from
from lidcflow.learn.segmenter_variations import OutlinedCube, varied_view
from lidcflow.nodules.segmenter_network import network_input, packed

Floats = NDArray[np.float32]
Batch = tuple[Floats, Floats]
Progress = Callable[[int, int], None]

START_BATCHES, NORM_BATCHES = 4, 40
"""Batches whose statistics batch normalisation starts from, and those of the averaged weights.

The latter are no more than the steps: few steps leave the weights near those whose statistics they started from.
"""

OTHER_BATCHES = 1_000_000
"""Added to the seed for these batches: a thread is at work on those that the network learns from."""

OWN_RATE = 1e-3
"""Highest learning rate of a training that goes on from other weights."""

AVERAGED, LEAST_STEPS = 0.1, 10
"""Horizon of the moving average of weights as a share of all steps, which count as at least this many."""

SMOOTH = 100.0
"""Voxels added to overlap and volumes, so that the smallest nodules do not rule the loss."""


@dataclass(frozen=True)
class SegmenterTraining:
    """Settings of the segmenter's training.

    Attributes
    ----------
    steps : int
        Of the optimizer.
    batch_size : int
        Cubes in a step.
    learning_rate, weight_decay : float
        The highest rate, after a warm-up of a twentieth of the steps; it falls as a cosine.
    average : float
        Momentum of the mean of the weights.
    seed : int
        Of the first weights and the views.
    """

    steps: int = 3600
    batch_size: int = 4
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    average: float = 0.99
    seed: int = 0


def train_segmenter(
    cubes: Sequence[OutlinedCube],
    settings: SegmenterTraining,
    *,
    start: Mapping[str, Floats] | None = None,
    on_progress: Progress = lambda _done, _total: None,
) -> dict[str, Floats]:
    """Train the network of the segmenter.

    Parameters
    ----------
    cubes : sequence of OutlinedCube
        What to learn from.
    settings : SegmenterTraining
        How long, how fast, which seed.
    start : mapping of str to array, optional
        Weights that it goes on from; by default it starts from nothing.
    on_progress : callable, optional
        Called with the steps done and those to do.

    Returns
    -------
    dict of str to array of float32
        Weights for `lidcflow.nodules.segmenter_network.SegmenterNetwork`.
    """
    others = draw_batches(cubes, settings.batch_size, settings.seed + OTHER_BATCHES)
    model = _compiled(settings)
    if start:
        start_from(model, start, np.concatenate([places for places, _ in islice(others, START_BATCHES)]))
    model.optimizer.build(model.trainable_variables)  # TensorFlow traces a step twice if the first one makes them
    batches = draw_batches(cubes, settings.batch_size, settings.seed)
    with one_blas_thread():
        for step, (places, targets) in enumerate(prefetch(next(batches) for _ in range(settings.steps)), start=1):
            model.train_on_batch(places, targets)
            on_progress(step, settings.steps)
        return _averaged_weights(model, islice(others, min(settings.steps, NORM_BATCHES)))


def draw_batches(cubes: Sequence[OutlinedCube], size: int, seed: int) -> Iterator[Batch]:
    """Yield batches of varied views without end: what the network sees, and the share of each voxel in the nodule.

    Parameters
    ----------
    cubes : sequence of OutlinedCube
    size : int
        Cubes in a batch; all cubes come once before any comes again.
    seed : int
    """
    rng = np.random.default_rng(seed)
    waiting: list[int] = []
    while True:
        while len(waiting) < size:
            waiting += rng.permutation(len(cubes)).tolist()
        views = [varied_view(cubes[i], rng) for i in waiting[:size]]
        del waiting[:size]
        grey, mask, pitch_mm = (np.stack(part) for part in zip(*views, strict=True))
        yield network_input(grey, pitch_mm), packed(mask)


def _compiled(settings: SegmenterTraining) -> keras.Model:
    model = segmenter_layers(seed=settings.seed)
    rate = warmed_cosine(settings.learning_rate, settings.steps)
    optimizer = keras.optimizers.AdamW(
        rate, weight_decay=settings.weight_decay, clipnorm=1.0, use_ema=True, ema_momentum=settings.average
    )
    model.compile(optimizer, overlap_loss, jit_compile=False, run_eagerly=is_run_eagerly(settings.steps))
    return model


def overlap_loss(target: Any, logits: Any) -> Any:
    """Return 1 less the soft Dice of each cube, and its cross entropy by the nodule's volume.

    Parameters
    ----------
    target, logits : (n, side, side, side, 8) tensors

    Returns
    -------
    (n,) tensor
    """
    axes, ops = (1, 2, 3, 4), keras.ops
    probability = ops.sigmoid(logits)
    volume = ops.sum(target, axes)
    overlap = (2 * ops.sum(probability * target, axes) + SMOOTH) / (volume + ops.sum(probability, axes) + SMOOTH)
    entropy = ops.sum(ops.softplus(logits) - target * logits, axes) / (volume + 5 * SMOOTH)
    return 1 - overlap + 0.5 * entropy


def _averaged_weights(model: keras.Model, batches: Iterator[Batch]) -> dict[str, Floats]:
    """Return the mean of a model's last weights; the statistics of batch normalisation are taken anew for them."""
    model.optimizer.finalize_variable_values(model.trainable_variables)
    for places, _ in batches:
        model(places, training=True)
    return folded_weights(model)


def train_own_segmenter(
    cubes: Sequence[OutlinedCube],
    start: Mapping[str, Floats],
    *,
    steps: int,
    seed: int,
    on_progress: Progress = lambda _done, _total: None,
) -> dict[str, Floats]:
    """Go on training from the weights of another segmenter, at a lower rate.

    Parameters
    ----------
    cubes : sequence of OutlinedCube
        What to learn from.
    start : mapping of str to array
        Weights of the other.
    steps, seed : int
        Length and seed of the training.
    on_progress : callable, optional
        Called with the steps done and those to do.
    """
    average = 1 - 1 / (AVERAGED * max(steps, LEAST_STEPS) + 1)
    settings = SegmenterTraining(steps=steps, learning_rate=OWN_RATE, average=average, seed=seed)
    return train_segmenter(cubes, settings, start=start, on_progress=on_progress)
