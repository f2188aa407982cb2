"""The linear head as arithmetic is the one that Keras trains."""

import keras
import numpy as np
import pytest

from lidcflow.config import TrainConfig
from lidcflow.learn.arithmetic import MOST_DIFFERENCE, LinearHead, numpy_head
from lidcflow.learn.fitting import fit_head
from lidcflow.learn.heads import LOGITS_L2, averaged_model, build_head, calibrated_model
from lidcflow.learn.network_file import load_head
from lidcflow.learn.plain_head import NumpyHead
from lidcflow.stats.calibration import Calibration

RATE = 0.01


def slices(n, seed):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    x = rng.normal(size=(n, 20)) + np.eye(3, 20)[y]
    return x.astype(np.float32), y, rng.uniform(0.5, 2, n).astype(np.float32)


@pytest.fixture
def by_keras():
    inputs = keras.Input((20,))
    dense = keras.layers.Dense(3, kernel_initializer="zeros", kernel_regularizer=keras.regularizers.L2(LOGITS_L2))
    network = keras.Model(inputs, dense(inputs))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(optimizer=keras.optimizers.Adam(RATE), loss=loss, metrics=["accuracy"])
    return network


def test_steps_and_figures_are_those_of_keras(by_keras):
    head = LinearHead(20, learning_rate=RATE, l2=LOGITS_L2)
    (x, y, weight), held_out = slices(96, 0), slices(40, 1)
    batches = [np.arange(first, first + 32) for first in (0, 32, 64)] * 7

    trained = head.train_epoch(x, y, weight, batches)
    steps = [by_keras.train_on_batch(x[rows], y[rows], sample_weight=weight[rows]) for rows in batches]
    measured = by_keras.test_on_batch(*held_out[:2], sample_weight=held_out[2])

    assert trained == pytest.approx(tuple(np.mean(steps, axis=0)), rel=1e-5)
    assert head.measure(*held_out) == pytest.approx(tuple(measured), rel=1e-5)
    for own, other in zip(head.get_weights(), by_keras.get_weights(), strict=True):
        np.testing.assert_allclose(own, other, atol=1e-5)


def test_kept_weights_do_not_move_with_later_steps():
    head = LinearHead(20, learning_rate=RATE, l2=LOGITS_L2)
    x, y, weight = slices(32, 0)

    kept = head.get_weights()
    head.train_epoch(x, y, weight, [np.arange(32)])

    assert not kept[0].any()
    assert head.get_weights()[0].any()


CALIBRATION = Calibration(scale=0.7, offsets=(0.4, -0.3, 0.1))


def random_features(n, seed):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    features = rng.normal(3, 2, (n, 40)).astype(np.float16)
    features[:, :3] += 4 * np.eye(3)[labels].astype(np.float16)
    return features, labels


@pytest.fixture(params=["linear", "mlp", "paper"])
def trained(request):
    """A trained head of each kind, calibrated as it is registered."""
    config = TrainConfig(head=request.param, epochs=2)
    return calibrated_model(
        fit_head(*random_features(90, 0), *random_features(30, 1), config, seed=0).model, CALIBRATION
    )


def test_a_trained_head_answers_without_keras_as_with_it(trained):
    features = random_features(65, 2)[0].astype(np.float32)

    plain = numpy_head(trained)

    assert isinstance(plain, NumpyHead)
    assert plain(features).dtype == np.float32
    np.testing.assert_allclose(plain(features), trained(features, training=False), atol=MOST_DIFFERENCE, rtol=0)


def test_a_model_of_other_layers_or_of_maps_is_asked_itself():
    flat, maps = keras.Input((4,)), keras.Input((2, 2, 4))
    other = keras.Model(flat, keras.layers.LayerNormalization()(flat))
    of_maps = keras.Model(maps, keras.layers.GlobalAveragePooling2D()(maps))

    assert [numpy_head(model) for model in (other, of_maps)] == [other, of_maps]


def test_a_model_whose_answer_is_another_than_that_of_its_layers_in_turn_is_asked_itself():
    features = keras.Input((3,))
    dense = keras.layers.Dense(3, kernel_initializer="orthogonal")
    twice = keras.Model(features, keras.layers.Softmax()(dense(dense(features))))

    assert numpy_head(twice) is twice


def test_an_ensemble_is_the_mean_of_its_members_each_as_arithmetic(tmp_path):
    x = slices(60, 5)[0]
    calibration = Calibration(1.5, (0.0, 0.1, 0.2))
    members = [calibrated_model(build_head("linear", x * scale, 0), calibration) for scale in (1, 2)]
    for seed, member in enumerate(members):
        kernel = member.get_layer("logits")
        kernel.set_weights([np.random.default_rng(seed).normal(size=w.shape) for w in kernel.get_weights()])
    averaged_model(members).save(tmp_path / "model.keras")

    plain = load_head(tmp_path / "model.keras", "ensemble")

    own = [np.asarray(member(x)) for member in members]
    assert [type(member) for member in plain.members] == [NumpyHead, NumpyHead]
    np.testing.assert_allclose(plain.members[1](x), own[1], atol=MOST_DIFFERENCE)
    np.testing.assert_allclose(plain(x), np.mean(own, axis=0), atol=MOST_DIFFERENCE)
