"""How a head is fitted."""

import numpy as np
import pytest

from lidcflow.config import TrainConfig
from lidcflow.errors import TrainingError
from lidcflow.learn.fitting import fit_head
from tests.learn.fitted import FAST, easy_slices


@pytest.mark.parametrize("kind", ["linear", "mlp", "paper"])
def test_every_head_learns_what_is_easy(kind):
    config = FAST.model_copy(update={"head": kind, "epochs": 6, "learning_rate": 0.01})

    head = fit_head(*easy_slices(120, 0), *easy_slices(60, 1), config, seed=0)

    assert max(head.history["val_accuracy"]) > 0.9


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


def test_a_head_says_at_which_shares_it_learned():
    features, labels = easy_slices(90, 0)
    rare = np.concatenate([np.flatnonzero(labels < 2), np.flatnonzero(labels == 2)[:1]])

    head = fit_head(features[rare], labels[rare], features, labels, FAST, seed=0)

    np.testing.assert_allclose(head.class_shares, np.array([30, 30, 10]) / 70)
