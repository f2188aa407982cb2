import numpy as np
import pytest

from lidcflow.learn import own_training
from lidcflow.learn.own_examples import Examples
from lidcflow.learn.own_layers import multi_view, start_from_embedded
from lidcflow.learn.own_training import BATCH, POSITIVES, draw_batches, train_multi_view
from lidcflow.nodules.detector import embedded_detector
from lidcflow.nodules.detector_network import DetectorNetwork


@pytest.fixture
def examples():
    rng = np.random.default_rng(0)
    views = rng.integers(0, 256, (20, 6, 48, 48), dtype=np.uint8)
    return Examples(views, np.arange(20) < 5, np.ones(20))


def test_batches_have_nodules_in_their_share_and_views_of_shares_of_the_window(examples):
    images, targets = next(draw_batches(examples, 0))

    assert images.shape == (BATCH, 6, 48, 48)
    assert 0 <= images.min() < images.max() <= 1
    assert (targets > 0.5).sum() == POSITIVES


def test_the_same_seed_draws_the_same_batches(examples):
    first, again, other = (next(draw_batches(examples, seed)) for seed in (1, 1, 2))

    np.testing.assert_array_equal(first[0], again[0])
    assert not np.array_equal(first[0], other[0])


def test_a_network_starts_with_the_answers_of_the_embedded_one_to_the_narrow_planes(examples):
    network, embedded = multi_view(seed=0), embedded_detector().networks[0]
    views = examples.views[:4]

    start_from_embedded(network, embedded.weights, [views.astype(np.float32) / 255])

    expected = embedded(views[:, :3].reshape(-1, 48, 48)).reshape(-1, 3).mean(axis=1)
    said = network.model.predict(views.astype(np.float32) / 255, verbose=0)[:, 0]
    np.testing.assert_allclose(said, expected, atol=1e-3)


def test_a_training_leaves_finite_weights_for_both_widths(examples, monkeypatch, traced):
    monkeypatch.setattr(own_training, "START_BATCHES", 1)
    monkeypatch.setattr(own_training, "NORM_BATCHES", 1)
    steps = []

    trained = train_multi_view(
        examples, embedded_detector().networks[0].weights, steps=2, seed=0, on_progress=lambda *done: steps.append(done)
    )

    assert steps == [(1, 2), (2, 2)]
    assert len(trained.loss) == 2
    for weights in trained.networks:
        assert np.isfinite(DetectorNetwork(weights)(examples.views[0])).all()
