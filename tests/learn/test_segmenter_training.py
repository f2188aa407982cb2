import numpy as np
import pytest

from lidcflow.learn import segmenter_training as module
from lidcflow.learn.segmenter_training import (
    SegmenterTraining,
    draw_batches,
    overlap_loss,
    train_own_segmenter,
    train_segmenter,
)
from lidcflow.nodules.segmenter import embedded_segmenter, shapes
from tests.learn.test_segmenter_variations import cube_of

CUBES = [cube_of(radius) for radius in (4, 6, 8)]


def test_every_cube_comes_once_before_any_comes_again(monkeypatch):
    middle = (slice(8, 40),) * 3
    monkeypatch.setattr(module, "varied_view", lambda cube, _rng: (cube.grey[middle], cube.mask[middle], 1.0))
    cubes = [cube_of(4), OTHER]
    batches = draw_batches(cubes, 2, seed=0)

    volumes = [sorted(target.sum(axis=(1, 2, 3, 4)).tolist()) for _, target in (next(batches), next(batches))]

    assert volumes == [[float(cube.mask.sum()) for cube in cubes]] * 2


OTHER = cube_of(12)


def test_the_loss_falls_with_the_overlap():
    target = np.zeros((1, 2, 2, 2, 8), np.float32)
    target[0, 0] = 1
    right, wrong = 8 * target - 4, 4 - 8 * target

    assert float(overlap_loss(target, right)[0]) < float(overlap_loss(target, wrong)[0])


@pytest.fixture
def few_batches(monkeypatch):
    """Take the statistics of the averaged weights from two batches."""
    monkeypatch.setattr(module, "NORM_BATCHES", 2)


def test_the_same_seed_trains_the_same_weights(few_batches):
    settings = SegmenterTraining(steps=2, batch_size=2, seed=1)
    seen = []

    first, again = (
        train_segmenter(CUBES, settings, on_progress=lambda done, total: seen.append((done, total))) for _ in range(2)
    )

    assert {name: array.shape for name, array in first.items()} == shapes()
    assert all(np.isfinite(array).all() for array in first.values())
    assert all(np.allclose(first[name], again[name], atol=1e-3) for name in first)
    assert seen[:2] == [(1, 2), (2, 2)]


def test_a_training_that_goes_on_stays_near_the_weights_that_it_started_from(few_batches, traced):
    start = embedded_segmenter().network.weights

    trained = train_own_segmenter(CUBES, start, steps=1, seed=0)

    assert trained.keys() == start.keys()
    kernels = [name for name in start if name.endswith("kernel")]
    assert all(np.corrcoef(trained[name].ravel(), start[name].ravel())[0, 1] > 0.95 for name in kernels)
