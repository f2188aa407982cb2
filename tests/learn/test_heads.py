import keras
import numpy as np
import pytest

from lidcflow.config import TrainConfig
from lidcflow.errors import TrainingError
from lidcflow.learn.fitting import fit_head
from lidcflow.learn.heads import build_head, calibrated_model
from lidcflow.learn.training_set import class_weights
from lidcflow.stats.calibration import Calibration

FAST = TrainConfig(epochs=3, learning_rate=0.02)
UNMOVED = Calibration(scale=1.0, offsets=(0.0, 0.0, 0.0))


def easy_slices(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Features of very unequal spread whose first three tell the class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    features = rng.normal(size=(n, 6)).astype(np.float16)
    features[:, :3] += 4 * np.eye(3)[labels]
    return features * np.float16([100, 1, 0.01, 1, 1, 1]), labels


@pytest.fixture(scope="module")
def fitted():
    return fit_head(*easy_slices(120, 0), *easy_slices(60, 1), FAST, seed=3)


@pytest.mark.parametrize("kind", ["linear", "mlp", "paper"])
def test_every_head_learns_what_is_easy(kind):
    config = FAST.model_copy(update={"head": kind, "epochs": 6, "learning_rate": 0.01})

    head = fit_head(*easy_slices(120, 0), *easy_slices(60, 1), config, seed=0)

    assert max(head.history["val_accuracy"]) > 0.9


def test_history_has_one_figure_an_epoch(fitted):
    assert {name: len(values) for name, values in fitted.history.items()} == {
        "loss": 3,
        "accuracy": 3,
        "val_loss": 3,
        "val_accuracy": 3,
    }


@pytest.mark.parametrize("kind", ["linear", "paper"])
def test_the_curves_show_all_batches_of_an_epoch(kind):
    config = TrainConfig(head=kind, epochs=1, batch_size=32, learning_rate=1e-12)
    features, _ = easy_slices(96, 0)
    rare_ones_first = np.repeat([2, 1, 0], [8, 24, 64])

    head = fit_head(features, rare_ones_first, features, rare_ones_first, config, seed=0)

    assert head.history["loss"] == pytest.approx([np.log(3)], rel=1e-4)  # of logits that are zero, weights' mean is 1
    assert head.history["loss"] == pytest.approx(head.history["val_loss"], rel=1e-4)


def test_the_same_seed_gives_the_same_head(fitted):
    again = fit_head(*easy_slices(120, 0), *easy_slices(60, 1), FAST, seed=3)

    assert again.history == fitted.history
    for weights, same in zip(fitted.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(weights, same)


@pytest.mark.parametrize("kind", ["linear", "paper"])
def test_a_head_takes_nothing_over_from_the_one_before_it(kind):
    config = FAST.model_copy(update={"head": kind, "epochs": 2})
    alone = fit_head(*easy_slices(120, 0), *easy_slices(60, 1), config, seed=3)

    fit_head(*easy_slices(90, 5), *easy_slices(60, 6), config, seed=4)
    after_another = fit_head(*easy_slices(120, 0), *easy_slices(60, 1), config, seed=3)

    assert after_another.history == alone.history
    for weights, same in zip(alone.model.get_weights(), after_another.model.get_weights(), strict=True):
        np.testing.assert_array_equal(weights, same)


def test_slices_that_are_watched_get_curves_and_steer_nothing(fitted):
    watched = fit_head(*easy_slices(120, 0), *easy_slices(60, 1), FAST, seed=3, watched=easy_slices(30, 2))

    assert [len(watched.history.pop(f"test_{name}")) for name in ("loss", "accuracy")] == [3, 3]
    assert (watched.history, watched.best_epoch) == (fitted.history, fitted.best_epoch)
    for weights, same in zip(fitted.model.get_weights(), watched.model.get_weights(), strict=True):
        np.testing.assert_array_equal(weights, same)


def test_the_epoch_with_the_lowest_validation_loss_is_kept():
    x_val, y_val = easy_slices(60, 1)
    opposite = (y_val + 1) % 3

    head = fit_head(*easy_slices(120, 0), x_val, opposite, FAST, seed=0)

    assert head.best_epoch == int(np.argmin(head.history["val_loss"])) == 0


def test_a_loss_that_is_not_a_number_stops_the_training():
    features, labels = easy_slices(30, 0)
    broken = features.astype(np.float32)
    broken[0, 0] = np.inf

    with pytest.raises(TrainingError, match="loss must be a number"), np.errstate(invalid="ignore"):
        fit_head(broken, labels, features, labels, FAST, seed=0)


def test_a_class_that_is_absent_is_named_by_its_count():
    features, labels = easy_slices(30, 0)

    with pytest.raises(TrainingError, match=r"got \[10, 10, 0\]"):
        fit_head(features[labels < 2], labels[labels < 2], features, labels, FAST, seed=0)


def test_an_empty_validation_set_is_refused():
    features, labels = easy_slices(30, 0)

    with pytest.raises(TrainingError, match="validation set: must hold slices"):
        fit_head(features, labels, features[:0], labels[:0], FAST, seed=0)


def test_class_weights_even_out_the_classes():
    labels = np.repeat([0, 1, 2], [6, 3, 1])

    np.testing.assert_allclose(class_weights(labels) * [6, 3, 1], 10 / 3)


def test_a_very_rare_class_is_not_weighed_beyond_the_cap():
    weights = class_weights(np.repeat([0, 1, 2], [1000, 1000, 1]))

    assert weights[2] / weights[0] == pytest.approx(10)


def test_a_head_says_at_which_shares_it_learned():
    features, labels = easy_slices(90, 0)
    rare = np.concatenate([np.flatnonzero(labels < 2), np.flatnonzero(labels == 2)[:1]])

    head = fit_head(features[rare], labels[rare], features, labels, FAST, seed=0)

    np.testing.assert_allclose(head.class_shares, np.array([30, 30, 10]) / 70)


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
