"""Patients are drawn, the same ones for the same seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from lidcflow.stats.bootstrap import draw_patients, estimate, ranking_draws, ratio, with_interval
from lidcflow.stats.estimate import Estimate


def test_every_draw_has_as_many_patients_as_the_sample_which_comes_first():
    draws = draw_patients(7, seed=0, resamples=20)

    assert draws.shape == (21, 7)
    assert draws[0].tolist() == [1] * 7
    assert set(draws.sum(axis=1)) == {7.0}


def test_the_same_seed_gives_the_same_draws():
    first, again, other = (draw_patients(9, seed=seed, resamples=5) for seed in (1, 1, 2))

    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_one_patient_has_nothing_to_vary():
    assert draw_patients(1, seed=0, resamples=20).tolist() == [[1.0]]
    assert estimate(np.array([0.5])) == Estimate(value=0.5)


def test_two_patients_vary():
    assert {tuple(draw) for draw in draw_patients(2, seed=0, resamples=20).tolist()} == {(1, 1), (2, 0), (0, 2)}


def test_the_interval_is_that_of_the_draws_and_not_of_the_sample():
    # Row 0 is the sample; 2.5% and 97.5% of the way from 0 to 1.
    assert estimate(np.array([0.5, 0.0, 1.0])) == Estimate(value=0.5, low=0.025, high=0.975)


def test_a_figure_that_a_library_computed_stands_before_that_of_row_0():
    assert estimate(np.array([0.5, 0.25, 0.25]), 0.75) == Estimate(value=0.75, low=0.25, high=0.25)


def test_a_figure_that_is_not_defined_is_none():
    assert with_interval(np.nan) == Estimate(value=None)


def test_the_interval_of_a_mean_has_the_width_that_theory_gives():
    values = np.random.default_rng(3).normal(0, 1, 400)

    found = estimate(draw_patients(400, seed=0, resamples=1000) @ values / 400)

    assert found.high - found.low == pytest.approx(2 * 1.96 / np.sqrt(400), rel=0.15)


def test_draws_that_do_not_define_the_figure_are_left_out():
    assert estimate(np.array([0.5, np.nan, 0.25, 0.25])) == Estimate(value=0.5, low=0.25, high=0.25)
    assert estimate(np.array([np.nan, 0.2])) == Estimate(value=None)


def test_a_ratio_is_not_defined_where_nothing_is_below():
    np.testing.assert_array_equal(ratio(np.array([1.0, 0.0, 1.0]), np.array([0.0, 0.0, 0.5])), [np.nan, np.nan, 2.0])


def areas(score, labels, positive=(1, 2), class_weights=(1.0, 1.0, 1.0)):
    """Of one patient, who is drawn once."""
    rows = np.array(score), np.array(labels, dtype=np.int8), np.zeros(len(labels), dtype=int)
    auroc, auprc = ranking_draws(*rows, np.ones((1, 1)), np.array([class_weights]), positive=positive)
    return float(auroc[0]), float(auprc[0])


def test_auroc_counts_pairs_and_ties_half_and_precision_takes_ties_together():
    # Positives 0.9 and 0.5, negatives 0.5 and 0.1: three pairs right, one tie; precision 1/1, then 2/3.
    assert areas([0.9, 0.5, 0.5, 0.1], [2, 1, 0, 0]) == (3.5 / 4, pytest.approx((1 + 2 / 3) / 2))


def test_class_weights_let_a_negative_count_for_many():
    # A negative of weight 3 above the positive: precision 1 of 4; the one below weighs 3 of 6.
    assert areas([0.9, 0.5, 0.1], [0, 2, 0], (2,), (3.0, 1.0, 1.0)) == (0.5, pytest.approx(1 / 4))


def test_class_weights_that_are_all_alike_change_nothing():
    score, labels = [0.9, 0.5, 0.4, 0.1], [0, 2, 1, 0]

    assert areas(score, labels, (1, 2), (2.0, 2.0, 2.0)) == areas(score, labels) == (0.5, pytest.approx(7 / 12))


def test_precision_is_of_single_precision_as_releases_have_stored_it():
    # Two negatives above the positive, or one that counts for two.
    assert areas([0.9, 0.8, 0.5], [0, 0, 2])[1] == float(np.float32(1 / 3))
    assert areas([0.9, 0.5], [0, 2], class_weights=(2.0, 1.0, 1.0))[1] == float(np.float32(1 / 3))


SCORE, PATIENTS = np.array([0.1, 0.9, 0.5, 0.4]), np.array([1, 0, 0, 1])
"""Of four slices of two patients."""


def test_slices_count_as_often_as_their_patient_is_drawn():
    labels, draws = np.array([0, 2, 0, 1], dtype=np.int8), np.array([[1.0, 1.0], [2.0, 0.0], [1.0, 3.0]])

    auroc, auprc = ranking_draws(SCORE, labels, PATIENTS, draws, np.ones((3, 3)), positive=(1, 2))

    # 0.4 loses to 0.5 alone: one pair of 4, none where its patient is not drawn, 3 x 1 pairs of 4 x 4.
    assert auroc.tolist() == [3 / 4, 1.0, 13 / 16]
    assert auprc == pytest.approx([(1 + 2 / 3) / 2, 1.0, (1 + 3 * 4 / 5) / 4])


def test_each_class_of_each_draw_has_its_own_weight():
    labels, draws = np.array([0, 1, 0, 2], dtype=np.int8), np.ones((2, 2))

    auroc, auprc = ranking_draws(
        SCORE, labels, PATIENTS, draws, np.array([[3.0, 2.0, 1.0], [1.0, 3.0, 1.0]]), positive=(2,)
    )

    # Malignant 0.4 beats 0.1 and loses to 0.5, both of class 0, and to a benign 0.9.
    assert auroc.tolist() == [3 / 8, 1 / 5]
    assert auprc == pytest.approx([1 / (1 + 2 + 3), 1 / (1 + 3 + 1)])


def test_a_draw_that_lacks_positives_or_negatives_has_no_area():
    score, labels = np.array([0.1, 0.9, 0.5, 0.6]), np.array([0, 1, 2, 0], dtype=np.int8)
    draws = np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 2.0]])

    auroc, auprc = ranking_draws(score, labels, PATIENTS, draws, np.ones((3, 3)), positive=(1, 2))

    # Both positives are of the first patient, both negatives of the second: 0.5 loses to 0.6.
    np.testing.assert_array_equal(auroc, [3 / 4, np.nan, np.nan])
    assert auprc == pytest.approx([(1 + 2 / 3) / 2, 1.0, np.nan], nan_ok=True)


def test_without_positives_or_negatives_there_is_no_area():
    assert np.isnan(areas([0.2, 0.1], [0, 0])).all()
    assert np.isnan(areas([0.2, 0.1], [1, 2])[0])


@given(st.integers(0, 2**32 - 1), st.sampled_from([(1, 2), (2,)]))
def test_every_draw_is_what_scikit_learn_says_of_its_slices(seed, positive):
    random = np.random.default_rng(seed)
    # Three hundred patients: more than int8 labels could count.
    score, labels = random.integers(0, 8, 600) / 8, random.integers(0, 3, 600).astype(np.int8)
    patients, draws = np.arange(600) // 2, draw_patients(300, seed=seed, resamples=2)
    weights = random.uniform(0.5, 2, (3, 3)) if seed % 2 else np.ones((3, 3))

    auroc, auprc = ranking_draws(score, labels, patients, draws, weights, positive=positive)

    for number in range(3):
        sample = draws[number, patients] * weights[number, labels]
        truth = np.isin(labels, positive)
        assert auroc[number] == pytest.approx(roc_auc_score(truth, score, sample_weight=sample))
        assert auprc[number] == pytest.approx(average_precision_score(truth, score, sample_weight=sample), rel=1e-5)
