import numpy as np

from lidcflow.learn import nodule_pretraining
from lidcflow.learn.nodule_pretraining import draw_batches, train_detector
from lidcflow.learn.nodule_sets import ImageSource
from lidcflow.learn.nodule_training import NoduleTraining
from lidcflow.learn.nodule_variations import Variation

TINY = NoduleTraining(steps=2, batch_size=8)


def source(target, share, n=4, away_mm=None):
    images = np.random.default_rng(0).integers(0, 256, (n, 50, 50), dtype=np.uint8)
    column = np.full(n, target, np.float32)
    series = np.full(n, "1.2")
    return ImageSource("made up", images, np.full(n, 0.7, np.float32), column, series, share, Variation(), away_mm)


def test_batches_hold_every_source_by_its_share_with_targets_short_of_sure():
    sources = (source(1.0, 0.7), source(0.0, 0.25), source(0.8, 0.001))

    images, targets = next(draw_batches(sources, TINY))

    assert images.shape == (8, 48, 48, 1)
    values, counts = np.unique(targets.round(3), return_counts=True)
    np.testing.assert_allclose(values, [0.02, 0.788, 0.98], atol=1e-6)
    assert counts.tolist() == [2, 1, 5]


def test_the_same_seed_draws_the_same_batches():
    sources = (source(1.0, 0.5), source(0.0, 0.5, away_mm=np.full((4, 2), 9, np.float32)))
    first, again = (next(draw_batches(sources, TINY)) for _ in range(2))

    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])


def test_a_training_reports_its_steps_and_leaves_weights(monkeypatch, traced):
    monkeypatch.setattr(nodule_pretraining, "NORM_BATCHES", 1)
    steps, checkpoints = [], []

    trained = train_detector(
        (source(1.0, 0.5), source(0.0, 0.5)),
        TINY,
        on_progress=lambda *progress: steps.append(progress),
        on_checkpoint=lambda step, weights: checkpoints.append((step, len(weights))),
    )

    assert steps == [("steps", 1, 2), ("steps", 2, 2)]
    assert checkpoints == [(1, len(trained.weights))]
    assert all(np.isfinite(array).all() for array in trained.weights.values())
