"""Distances of known value, and alarms by chance as rare as promised."""

import numpy as np
import pytest

from lidcflow.drift.distance import Apart, compare_groups, coordinates, spread

MM = np.array([1.0, 2.5, 5.0])


def one_hot(indices, values):
    return np.eye(values)[np.asarray(indices)]


def distance(reference, now, support):
    return compare_groups(coordinates(reference, support), coordinates(now, support), false_alarms=0.1).distance


def test_ordered_values_are_apart_by_how_far_the_mean_patient_moved():
    reference, now = one_hot([0, 0, 1, 1], 3), one_hot([2, 2], 3)

    assert distance(reference, now, MM) == pytest.approx((4.0 + 4.0 + 2.5 + 2.5) / 4)


def test_words_are_apart_by_the_share_of_patients_that_would_have_to_change():
    reference, now = one_hot([0, 0, 0, 1], 3), one_hot([0, 2], 3)

    assert distance(reference, now, None) == pytest.approx(0.5)


def test_the_same_groups_are_not_apart():
    rows = one_hot([0, 1, 2, 2], 3)

    found = compare_groups(coordinates(rows, MM), coordinates(rows, MM), false_alarms=0.01)

    assert (found.distance, found.p, found.drifted) == (0, 1, False)


def test_a_quantity_that_never_varies_raises_no_alarm():
    rows = np.ones((30, 1))

    found = compare_groups(
        coordinates(rows, np.array([120.0])), coordinates(rows, np.array([120.0])), false_alarms=0.01
    )

    assert (found.distance, found.limit, found.drifted) == (0, 0, False)


def test_a_group_without_a_patient_is_refused():
    with pytest.raises(ValueError, match="both groups must hold a patient, got 2 and 0"):
        compare_groups(np.ones((2, 1)), np.ones((0, 1)), false_alarms=0.1)


def test_a_shift_that_is_sure_but_small_is_no_drift():
    rng = np.random.default_rng(0)
    reference, now = rng.normal(0, 1, (2000, 1)), rng.normal(0.11, 1, (2000, 1))

    found = compare_groups(reference, now, false_alarms=0.01)

    assert found.p <= 0.01
    assert 0.05 < found.distance < found.limit == pytest.approx(0.2 * spread(reference))
    assert not found.drifted


@pytest.mark.parametrize(("n_reference", "n_now"), [(8, 2), (30, 10), (100, 40)])
def test_groups_of_one_population_alarm_as_rarely_as_promised(n_reference, n_now):
    rng, alarms, rate = np.random.default_rng(n_now), 0, 0.05

    for trial in range(400):
        patients = rng.lognormal(size=(n_reference + n_now, 1))
        found = compare_groups(patients[:n_reference], patients[n_reference:], false_alarms=rate, seed=trial)
        alarms += found.drifted

    assert alarms / 400 <= rate + 3 * np.sqrt(rate * (1 - rate) / 400)


def test_a_real_shift_is_found():
    rng = np.random.default_rng(0)

    found = compare_groups(rng.normal(0, 1, (60, 1)), rng.normal(1.5, 1, (30, 1)), false_alarms=0.001)

    assert found.drifted
    assert found.p <= 0.001
    assert isinstance(found, Apart)
