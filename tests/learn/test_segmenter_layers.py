import numpy as np
import pytest

from lidcflow.learn.runtime import keras
from lidcflow.learn.segmenter_layers import folded_weights, segmenter_layers, start_from
from lidcflow.nodules.segmenter_network import SegmenterNetwork, network_input, unpacked


@pytest.fixture(scope="module")
def trained():
    """Return a network whose batch normalisation has its own statistics."""
    rng = np.random.default_rng(0)
    model = segmenter_layers(seed=1)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    return model


def test_the_network_in_numpy_is_the_trained_one(trained):
    grey = np.random.default_rng(1).integers(0, 256, (16, 16, 16), dtype=np.uint8)
    expected = trained.predict_on_batch(network_input(grey[None], np.array([0.75])))[0]

    found = SegmenterNetwork(folded_weights(trained))(grey, 0.75)

    np.testing.assert_allclose(found, unpacked(expected), atol=1e-3)


def test_the_same_seed_makes_the_same_network():
    first, again = (folded_weights(segmenter_layers(seed=3)) for _ in range(2))

    assert all((first[name] == again[name]).all() for name in first)


def test_a_network_that_goes_on_from_others_weights_answers_as_they_do(trained):
    start, places = folded_weights(trained), np.random.default_rng(2).random((3, 8, 8, 8, 10), np.float32)
    model = segmenter_layers(seed=5)

    start_from(model, start, places)

    found = folded_weights(model)
    for name, array in start.items():
        np.testing.assert_allclose(found[name], array, atol=1e-3)
    expected, answered = (one.predict_on_batch(places) for one in (trained, model))
    np.testing.assert_allclose(answered, expected, atol=1e-3)
    learning = np.asarray(model(places, training=True))
    np.testing.assert_allclose(learning, expected, atol=0.05)
