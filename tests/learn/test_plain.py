"""Heads as arithmetic: what Keras makes of the same features, or Keras itself."""

import keras
import numpy as np
import pytest

from lidcflow.config import TrainConfig
from lidcflow.learn.calibration import Calibration
from lidcflow.learn.fitting import fit_head
from lidcflow.learn.heads import calibrated_model
from lidcflow.learn.plain import MOST_DIFFERENCE, PlainHead, plain_head

CALIBRATION = Calibration(scale=0.7, offsets=(0.4, -0.3, 0.1))


def slices(n, seed):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    features = rng.normal(3, 2, (n, 40)).astype(np.float16)
    features[:, :3] += 4 * np.eye(3)[labels].astype(np.float16)
    return features, labels


@pytest.fixture(params=["linear", "mlp", "paper"])
def trained(request):
    """A trained head of each kind, calibrated as it is registered."""
    config = TrainConfig(head=request.param, epochs=2)
    return calibrated_model(fit_head(*slices(90, 0), *slices(30, 1), config, seed=0).model, CALIBRATION)


def test_a_trained_head_answers_without_keras_as_with_it(trained):
    features = slices(65, 2)[0].astype(np.float32)

    plain = plain_head(trained)

    assert isinstance(plain, PlainHead)
    assert plain(features).dtype == np.float32
    np.testing.assert_allclose(plain(features), trained(features, training=False), atol=MOST_DIFFERENCE, rtol=0)


def test_a_model_of_other_layers_or_of_maps_is_asked_itself():
    flat, maps = keras.Input((4,)), keras.Input((2, 2, 4))
    other = keras.Model(flat, keras.layers.LayerNormalization()(flat))
    of_maps = keras.Model(maps, keras.layers.GlobalAveragePooling2D()(maps))

    assert [plain_head(model) for model in (other, of_maps)] == [other, of_maps]


def test_a_model_whose_answer_is_another_than_that_of_its_layers_in_turn_is_asked_itself():
    features = keras.Input((3,))
    dense = keras.layers.Dense(3, kernel_initializer="orthogonal")
    twice = keras.Model(features, keras.layers.Softmax()(dense(dense(features))))

    assert plain_head(twice) is twice
