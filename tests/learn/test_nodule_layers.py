import numpy as np
import pytest

from lidcflow.learn.nodule_layers import detector_layers, folded_weights, start_from
from lidcflow.learn.runtime import keras
from lidcflow.nodules.detector_network import DetectorNetwork


@pytest.fixture(scope="module")
def trained():
    """Return a network whose batch normalisation has its own statistics."""
    rng = np.random.default_rng(0)
    model = detector_layers(seed=1)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    return model


GREY = np.random.default_rng(1).integers(0, 256, (5, 48, 48), dtype=np.uint8)
IMAGES = GREY[..., None] / np.float32(255)


def test_the_network_in_numpy_is_the_trained_one(trained):
    expected = trained.predict_on_batch(IMAGES)[:, 0]

    np.testing.assert_allclose(DetectorNetwork(folded_weights(trained))(GREY), expected, atol=1e-3)


def test_a_network_that_goes_on_from_weights_answers_as_they_do(trained):
    model = detector_layers(seed=2)

    start_from(model, folded_weights(trained), IMAGES)

    np.testing.assert_allclose(model.predict_on_batch(IMAGES), trained.predict_on_batch(IMAGES), atol=1e-3)


def test_the_same_seed_makes_the_same_network():
    first, again = (folded_weights(detector_layers(seed=3)) for _ in range(2))

    assert all((first[name] == again[name]).all() for name in first)
