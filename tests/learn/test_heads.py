import keras
import numpy as np
import pytest

from lidcflow.learn.heads import build_head, calibrated_model
from lidcflow.learn.training_set import class_weights
from lidcflow.stats.calibration import Calibration
from tests.learn.fitted import easy_slices

UNMOVED = Calibration(scale=1.0, offsets=(0.0, 0.0, 0.0))


def test_history_has_one_figure_an_epoch(fitted):
    assert {name: len(values) for name, values in fitted.history.items()} == {
        "loss": 3,
        "accuracy": 3,
        "val_loss": 3,
        "val_accuracy": 3,
    }


def test_class_weights_even_out_the_classes():
    labels = np.repeat([0, 1, 2], [6, 3, 1])

    np.testing.assert_allclose(class_weights(labels) * [6, 3, 1], 10 / 3)


def test_a_very_rare_class_is_not_weighed_beyond_the_cap():
    weights = class_weights(np.repeat([0, 1, 2], [1000, 1000, 1]))

    assert weights[2] / weights[0] == pytest.approx(10)


def test_a_head_standardises_its_features_itself():
    features = np.array([[0.0, 100.0], [2.0, 300.0]], np.float32)

    model = build_head("linear", features, seed=0)
    standardised = keras.Model(model.input, model.get_layer("standardised").output).predict_on_batch(features)

    np.testing.assert_allclose(standardised, [[-1, -1], [1, 1]], atol=1e-3)


def test_a_calibrated_head_gives_the_softmax_of_moved_logits(fitted):
    features, _ = easy_slices(9, 5)
    moved = 2.0 * fitted.model.predict_on_batch(features) + np.array([1.0, 0.0, -1.0])

    probabilities = calibrated_model(fitted.model, Calibration(2.0, (1.0, 0.0, -1.0))).predict_on_batch(features)

    expected = np.exp(moved) / np.exp(moved).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["linear", "mlp", "paper"])
def test_a_calibrated_head_loads_in_safe_mode(kind, tmp_path):
    features, _ = easy_slices(9, 5)
    model = calibrated_model(build_head(kind, features.astype(np.float32), seed=0), UNMOVED)

    model.save(tmp_path / "head.keras")
    loaded = keras.models.load_model(tmp_path / "head.keras", safe_mode=True, compile=False)

    np.testing.assert_array_equal(loaded.predict_on_batch(features), model.predict_on_batch(features))
