"""Probabilities of a release, put together from its sectors."""

import keras
import numpy as np
import pytest

from lidcflow.learn import predict
from lidcflow.learn.predict import release_probabilities


def constant_model(probabilities):
    """A model of 2 features that always gives the same probabilities."""
    inputs = keras.Input((2,))
    bias = keras.initializers.Constant(np.log(probabilities))
    dense = keras.layers.Dense(3, activation="softmax", kernel_initializer="zeros", bias_initializer=bias)
    return keras.Model(inputs, dense(inputs))


def test_each_sector_is_answered_for_by_its_own_model():
    sectors = [(range(0, 1), constant_model([0.8, 0.1, 0.1])), (range(1, 3), constant_model([0.2, 0.2, 0.6]))]

    p = release_probabilities(sectors, np.zeros((2, 3, 2), dtype=np.float16))

    np.testing.assert_allclose(p[:, :, 0], [[0.8, 0.2, 0.2]] * 2, rtol=1e-5)
    np.testing.assert_allclose(p.sum(axis=2), 1, rtol=1e-5)


def test_features_of_another_number_of_slices_are_refused():
    with pytest.raises(ValueError, match="slices must be those of the sectors, 1, got 3"):
        release_probabilities([(range(0, 1), None)], np.zeros((1, 3, 2)))


def test_stored_series_are_answered_for_a_few_at_a_time_as_all_at_once(monkeypatch):
    maps = {uid: np.full((4, 2, 2, 1), number, np.float16) for number, uid in enumerate("abc")}
    asked, sizes = [], []

    def read(uid, slices):
        asked.append(slices)
        return maps[uid][slices.start : slices.stop]

    def model(rows, training):
        sizes.append(len(rows))
        return np.repeat(rows.mean(axis=(1, 2)), 3, axis=1)

    monkeypatch.setattr(predict, "HELD_BYTES", 2 * maps["a"][1:].nbytes)
    monkeypatch.setattr(predict, "MAPS_AT_ONCE", 3 * maps["a"][0].size)

    p = predict.series_probabilities([(range(1, 4), model)], "abc", read)

    assert p.shape == (3, 3, 3)
    assert p[:, 0, 0].tolist() == [0, 1, 2]
    assert asked == [range(1, 4)] * 3
    assert sizes == [3, 3, 3]
