"""The areas of every draw are those that scikit-learn gives for its slices."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from lidcflow.learn.bootstrap import draw_patients
from lidcflow.learn.ranking import ranking_draws


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
