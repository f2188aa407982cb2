"""Patients are drawn, the same ones for the same seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from lidcflow.stats.bootstrap import draw_patients, estimate, ranking_draws, ratio
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


def test_the_interval_of_a_mean_has_the_width_that_theory_gives():
    values = np.random.default_rng(3).normal(0, 1, 400)

    found = estimate(draw_patients(400, seed=0, resamples=1000) @ values / 400)

    assert found.high - found.low == pytest.approx(2 * 1.96 / np.sqrt(400), rel=0.15)


def test_draws_that_do_not_define_the_figure_are_left_out():
    assert estimate(np.array([0.5, np.nan, 0.25, 0.25])) == Estimate(value=0.5, low=0.25, high=0.25)
    assert estimate(np.array([np.nan, 0.2])) == Estimate(value=None)
    assert np.isnan(ratio(np.zeros(1), np.zeros(1))).all()


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
