"""Training of the embedded nodule detector on real patches, slices and candidates."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lidcflow.blas import one_blas_thread
from lidcflow.learn.fitting import prefetch
from lidcflow.learn.nodule_layers import detector_layers, folded_weights, start_from
from lidcflow.learn.nodule_sets import ImageSource
from lidcflow.learn.nodule_training import NoduleTraining
from lidcflow.learn.nodule_variations import Scanner, cut_varied
from lidcflow.learn.rates import warmed_cosine
from lidcflow.learn.runtime import is_run_eagerly, keras

Floats = NDArray[np.float32]
Batch = tuple[Floats, Floats]
Progress = Callable[[str, int, int], None]
Checkpoint = Callable[[int, dict[str, Floats]], None]

SURE = 0.98
"""Most sure target of the training: labels are the readers', who err."""

NORM_BATCHES = 60
"""Batches that the statistics of the averaged weights are taken from."""


OTHER_BATCHES = 1_000_000
"""Added to the seed for the batches of both: a thread is at work on those that the network learns from."""

START_BATCHES = 8
"""Batches whose statistics a network that goes on learning starts from."""


@dataclass(frozen=True)
class TrainedDetector:
    """A trained network.

    Attributes
    ----------
    weights : dict of str to array
        For `lidcflow.nodules.detector_network.DetectorNetwork`.
    seconds : float
        Wall time of the training.
    loss : float
        Mean loss over the last tenth of the steps.
    """

    weights: dict[str, Floats]
    seconds: float
    loss: float


def train_detector(
    sources: tuple[ImageSource, ...],
    settings: NoduleTraining,
    *,
    start: Mapping[str, Floats] | None = None,
    on_progress: Progress = lambda _stage, _done, _total: None,
    on_checkpoint: Checkpoint | None = None,
) -> TrainedDetector:
    """Train the network of the detector.

    Parameters
    ----------
    sources : tuple of ImageSource
        Images and how many of each are in a batch.
    settings : NoduleTraining
        How long, how fast, which seed.
    start : mapping of str to array, optional
        Weights of a trained network to go on from; by default random ones.
    on_progress : callable, optional
        Called with "steps", the steps done and those to do.
    on_checkpoint : callable, optional
        Called ten times on the way with the step and the averaged weights.
    """
    started = time.monotonic()
    model = _compiled(settings)
    batches = draw_batches(sources, settings)
    others = draw_batches(sources, replace(settings, seed=settings.seed + OTHER_BATCHES))
    if start is not None:
        start_from(model, start, np.concatenate([next(others)[0] for _ in range(START_BATCHES)]))
    losses: list[float] = []
    with one_blas_thread():
        for step, (images, targets) in enumerate(prefetch(_first(batches, settings.steps)), start=1):
            losses.append(float(model.train_on_batch(images, targets)))
            on_progress("steps", step, settings.steps)
            if on_checkpoint and step < settings.steps and step % max(1, settings.steps // 10) == 0:
                on_checkpoint(step, _while_averaged(model, others))
        weights = averaged_weights(model, others)
    return TrainedDetector(weights, time.monotonic() - started, float(np.mean(losses[-max(1, len(losses) // 10) :])))


def _compiled(settings: NoduleTraining) -> keras.Model:
    model = detector_layers(seed=settings.seed)
    rate = warmed_cosine(settings.learning_rate, settings.steps)
    optimizer = keras.optimizers.AdamW(
        rate, weight_decay=settings.weight_decay, clipnorm=1.0, use_ema=True, ema_momentum=settings.average
    )
    model.compile(
        optimizer,
        keras.losses.BinaryCrossentropy(from_logits=True),
        jit_compile=False,
        run_eagerly=is_run_eagerly(settings.steps),
    )
    optimizer.build(model.trainable_variables)  # TensorFlow traces a step twice if the first one makes them
    return model


def _first(batches: Iterator[Batch], n: int) -> Iterator[Batch]:
    return (next(batches) for _ in range(n))


def _while_averaged(model: keras.Model, batches: Iterator[Batch]) -> dict[str, Floats]:
    """Return the averaged weights of a model that goes on learning with its own."""
    own = model.get_weights()
    weights = averaged_weights(model, batches)
    model.set_weights(own)
    return weights


def averaged_weights(model: keras.Model, batches: Iterator[Batch]) -> dict[str, Floats]:
    """Set a model's weights to their mean over the last steps and return them, for `DetectorNetwork`.

    The statistics of batch normalisation are those of other weights, and are taken anew.
    """
    model.optimizer.finalize_variable_values(model.trainable_variables)
    for _ in range(NORM_BATCHES):
        model(next(batches)[0], training=True)
    return folded_weights(model)


def draw_batches(sources: tuple[ImageSource, ...], settings: NoduleTraining) -> Iterator[Batch]:
    """Yield batches without end: (n, 48, 48, 1) images of 0 to 1 and (n, 1) targets.

    Parameters
    ----------
    sources : tuple of ImageSource
        Their shares are taken as those of each other.
    settings : NoduleTraining
        Size of a batch and seed.
    """
    rng = np.random.default_rng(settings.seed)
    scanner = Scanner(settings.seed)
    counts = _counts(np.array([source.share for source in sources]), settings.batch_size)
    while True:
        drawn = [_drawn(source, int(count), rng) for source, count in zip(sources, counts, strict=True)]
        images, targets = (np.concatenate(part) for part in zip(*drawn, strict=True))
        softened = (1 - SURE) + (2 * SURE - 1) * targets
        yield scanner.record(images, rng)[..., None], softened[:, None].astype(np.float32)


def _counts(shares: NDArray[np.float64], total: int) -> NDArray[np.int64]:
    """Part a batch among sources, at least one of each; the largest takes what is left."""
    counts = np.maximum(1, np.round(total * shares / shares.sum())).astype(np.int64)
    counts[np.argmax(counts)] += max(total - counts.sum(), 1 - counts.max())
    return np.asarray(counts)


def _drawn(source: ImageSource, count: int, rng: np.random.Generator) -> Batch:
    rows = rng.integers(0, len(source.images), count)
    away_mm = None if source.away_mm is None else np.asarray(rng.uniform(*source.away_mm[rows].T))
    images = cut_varied(source.images[rows], source.pixel_mm[rows], source.variation, rng, away_mm)
    return images, source.target[rows]
