import pytest

from lidcflow.experiment.comparison import compare_arms, last_training_accuracy
from tests.learn.arms import LABELS, arm, result

RIGHT = LABELS
BLIND = [0, 0, 0, 0]
PATIENTS = range(6)


@pytest.fixture(scope="module")
def comparison():
    """A reference that finds no nodule, and a configuration that finds all with one seed and none with another."""
    blind = result(dict.fromkeys(PATIENTS, BLIND))
    right = result(dict.fromkeys(PATIENTS, RIGHT))
    arms = [
        (arm("blind"), blind),
        (arm("keen, seed 0", "keen"), right),
        (arm("keen, seed 1", "keen", **{"train.seed": 1}), blind),
    ]
    return compare_arms("mine", "Which?", arms, {"lost": "no loss"}, resamples=50)


def figure(comparison, configuration, name):
    return next(one for one in comparison.differences if (one.configuration, one.figure) == (configuration, name))


def test_seeds_are_one_configuration_with_their_mean_and_spread(comparison):
    blind, keen = comparison.configurations

    accuracy = keen.figures["test"]["accuracy"]
    assert (blind.seeds, keen.seeds) == ((0,), (0, 1))
    assert (accuracy.value, accuracy.seeds_low, accuracy.seeds_high) == (0.75, 0.5, 1.0)
    assert len(comparison.arms) == 3
    assert comparison.failed == {"lost": "no loss"}


def test_differences_are_taken_from_the_first_configuration_and_paired(comparison):
    accuracy = figure(comparison, "keen", "accuracy")

    assert comparison.reference == "blind"
    assert (accuracy.value, accuracy.low, accuracy.high) == pytest.approx((0.25, 0.25, 0.25))
    assert accuracy.is_shown


def test_a_difference_that_hangs_on_some_patients_has_an_interval_that_holds_zero():
    reference = result({patient: RIGHT if patient % 2 else BLIND for patient in PATIENTS})
    other = result({patient: BLIND if patient % 2 else RIGHT for patient in PATIENTS})

    compared = compare_arms("mine", "", [(arm("a"), reference), (arm("b"), other)], {}, resamples=200)

    accuracy = figure(compared, "b", "accuracy")
    assert accuracy.value == 0
    assert accuracy.low < 0 < accuracy.high
    assert not accuracy.is_shown


def test_arms_are_compared_on_the_patients_that_all_of_them_have():
    more = result(dict.fromkeys(range(8), RIGHT))
    fewer = result(dict.fromkeys(range(3), RIGHT))

    compared = compare_arms("mine", "", [(arm("a"), more), (arm("b"), fewer)], {}, resamples=5)

    assert compared.patients == {"validation": 3, "test": 3}


def test_one_patient_gives_no_interval():
    compared = compare_arms("mine", "", [(arm("a"), result({0: RIGHT}))], {}, resamples=5)

    accuracy = compared.configurations[0].figures["test"]["accuracy"]
    assert (accuracy.value, accuracy.low, accuracy.high) == (1.0, None, None)


def test_training_accuracy_is_of_the_last_epoch_and_of_sectors_with_a_model_of_their_own():
    assert last_training_accuracy(result({0: RIGHT}, training=(0.5, 0.75))) == 0.625
    assert last_training_accuracy(result({0: RIGHT}, training=(0.5, 0.75), fallback="no benign slice")) == 0.5
