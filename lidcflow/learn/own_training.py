"""Training of a detector of one's own, from the embedded one's weights, on candidates of the training patients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from lidcflow.blas import one_blas_thread
from lidcflow.learn.fitting import prefetch
from lidcflow.learn.nodule_pretraining import OTHER_BATCHES, SURE
from lidcflow.learn.nodule_variations import Scanner, Variation, cut_varied
from lidcflow.learn.own_examples import VIEWS, Examples
from lidcflow.learn.own_layers import MultiView, multi_view, start_from_embedded
from lidcflow.learn.rates import warmed_cosine
from lidcflow.learn.runtime import is_run_eagerly, keras
from lidcflow.nodules.window import PIXEL_MM, SIZE

Floats = NDArray[np.float32]
Batch = tuple[Floats, Floats]
Progress = Callable[[int, int], None]

BATCH, POSITIVES = 32, 11
"""Candidates in a batch, and how many of them are in nodules."""

LEARNING_RATE, WEIGHT_DECAY = 1e-3, 0.03

AVERAGED = 0.1
"""Share of the steps that the mean of the weights goes back."""

LEAST_STEPS = 10

START_BATCHES, NORM_BATCHES = 3, 20
"""Batches whose statistics batch normalisation starts from, and those of the averaged weights.

The latter are no more than the steps: few steps leave the weights near those whose statistics they started from.
"""

VARIATION = Variation(least_zoom=0.85)
"""Patches are no larger than what the network sees: farther away, they would show their own mirror image."""


@dataclass(frozen=True, eq=False)
class OwnWeights:
    """The result of a training.

    Attributes
    ----------
    networks : list of dict
        Weights for narrow and for wide patches, as `lidcflow.nodules.detector_network.DetectorNetwork` takes them.
    loss : list of float
        Of each step.
    """

    networks: list[dict[str, Floats]]
    loss: list[float]


def train_multi_view(
    examples: Examples,
    start: Mapping[str, Floats],
    *,
    steps: int,
    seed: int,
    on_progress: Progress = lambda _done, _total: None,
) -> OwnWeights:
    """Train the multi-view network.

    Parameters
    ----------
    examples : Examples
        Candidates of training patients; of both kinds.
    start : mapping of str to array
        Weights of the embedded detector's network.
    steps : int
        Of the optimizer, each on `BATCH` candidates.
    seed : int
        Same seed and examples, same weights.
    on_progress : callable, optional
        Called with the steps done and those to do.
    """
    network, loss = multi_view(seed=seed), []
    others = draw_batches(examples, seed + OTHER_BATCHES)
    start_from_embedded(network, start, [images for images, _ in islice(others, START_BATCHES)])
    _compile(network.model, steps)
    with one_blas_thread():
        for step, (images, targets) in enumerate(prefetch(islice(draw_batches(examples, seed), steps)), start=1):
            loss.append(float(network.model.train_on_batch(images, targets)))
            on_progress(step, steps)
        return OwnWeights(_averaged(network, islice(others, min(steps, NORM_BATCHES))), loss)


def _compile(model: keras.Model, steps: int) -> None:
    rate = warmed_cosine(LEARNING_RATE, steps)
    momentum = 1 - 1 / (AVERAGED * max(steps, LEAST_STEPS) + 1)
    optimizer = keras.optimizers.AdamW(
        rate, weight_decay=WEIGHT_DECAY, clipnorm=1.0, use_ema=True, ema_momentum=momentum
    )
    model.compile(
        optimizer,
        keras.losses.BinaryCrossentropy(from_logits=True),
        jit_compile=False,
        run_eagerly=is_run_eagerly(steps),
    )
    optimizer.build(model.trainable_variables)  # TensorFlow traces a step twice if the first one makes them


def _averaged(network: MultiView, batches: Iterator[Batch]) -> list[dict[str, Floats]]:
    """Return the mean weights of the last steps; batch normalisation's statistics are those of others, taken anew."""
    network.model.optimizer.finalize_variable_values(network.model.trainable_variables)
    for images, _ in batches:
        network.model(images, training=True)
    return network.folded()


def draw_batches(examples: Examples, seed: int) -> Iterator[Batch]:
    """Yield batches without end: (n, 6, 48, 48) views of 0 to 1, turned, flipped, moved and recorded anew, and targets.

    Parameters
    ----------
    examples : Examples
        Of both kinds.
    seed : int
        Of what is drawn and how it is varied.
    """
    rng, scanner = np.random.default_rng(seed), Scanner(seed)
    kinds = [np.flatnonzero(examples.nodule), np.flatnonzero(~examples.nodule)]
    shares = [examples.share[kind] / examples.share[kind].sum() for kind in kinds]
    counts = (POSITIVES, BATCH - POSITIVES)
    targets = np.repeat(np.array([SURE, 1 - SURE], np.float32), counts)[:, None]
    pixel_mm = np.full(BATCH * VIEWS, PIXEL_MM, np.float32)
    while True:
        drawn = [rng.choice(kind, n, p=share) for kind, n, share in zip(kinds, counts, shares, strict=True)]
        views = examples.views[np.concatenate(drawn)].reshape(-1, SIZE, SIZE)
        varied = scanner.record(cut_varied(views, pixel_mm, VARIATION, rng), rng)
        yield varied.reshape(BATCH, VIEWS, SIZE, SIZE), targets
