import numpy as np
import pytest

from lidcflow.nodules.join_weights import JoinWeights
from lidcflow.nodules.slice_scores import NOTHING_FOUND, best_in_slices, fit_join, join_slices
from lidcflow.stats.metrics import slice_auroc

EDGES_MM = np.array([40.0, 30, 20, 10, 0])


def best(*candidates):
    z_mm, diameter_mm, probability = np.array(candidates, dtype=float).reshape(-1, 3).T
    return best_in_slices(EDGES_MM, z_mm, diameter_mm, probability).tolist()


def test_a_candidate_counts_in_every_slice_that_it_reaches_into():
    assert best((25.0, 4.0, 0.9)) == [NOTHING_FOUND, 0.9, NOTHING_FOUND, NOTHING_FOUND]
    assert best((21.0, 4.0, 0.9)) == [NOTHING_FOUND, 0.9, 0.9, NOTHING_FOUND]
    assert best((25.0, 10.0, 0.9)) == [NOTHING_FOUND, 0.9, NOTHING_FOUND, NOTHING_FOUND]  # it ends where they begin


def test_the_best_candidate_of_a_slice_counts():
    assert best((25.0, 4.0, 0.2), (24.0, 4.0, 0.9), (26.0, 4.0, 0.4))[1] == 0.9


def test_slices_without_candidates_and_with_poor_ones_have_the_least_probability():
    assert best() == [NOTHING_FOUND] * 4
    assert best((25.0, 4.0, NOTHING_FOUND / 2))[1] == NOTHING_FOUND


def test_by_bayes_rule_two_observations_at_the_base_rate_leave_it_as_it_is():
    (joined,) = join_slices(np.array([[0.9, 0.04, 0.06]]), np.array([0.1]), JoinWeights.independent(0.1))

    np.testing.assert_allclose(joined, [0.9, 0.04, 0.06], atol=1e-12)


def test_a_good_candidate_raises_a_slice_and_keeps_the_ratio_of_its_kinds():
    # Odds of 1/9 from the slice, 9 from the candidate, 9 for the base rate.
    (joined,) = join_slices(np.array([[0.9, 0.025, 0.075]]), np.array([0.9]), JoinWeights.independent(0.1))

    np.testing.assert_allclose(joined, [0.1, 0.9 / 4, 0.9 * 3 / 4], atol=1e-12)


def test_certain_probabilities_stay_finite_and_sum_to_one():
    certain = np.array([[1.0, 0, 0], [0, 0, 1.0]])

    joined = join_slices(certain, np.array([1.0, 0.0]), JoinWeights.independent(0.1))

    np.testing.assert_allclose(joined.sum(axis=1), 1)
    assert np.isfinite(joined).all()
    assert (joined[:, 1:] > 0).all()


def slices(n, rng, *, own=1.0, found=1.0):
    """Return independent observations of slices, of which one in ten holds a nodule, each calibrated by itself."""
    nodule = rng.random(n) < 0.1
    p = []
    for strength in (own, found):
        # Normal scores with a difference of d between the classes have the log ratio d * x - d**2 / 2.
        odds = np.log(1 / 9) + strength * rng.normal(nodule * strength, 1) - strength**2 / 2
        p.append(1 / (1 + np.exp(-odds)))
    return np.stack([1 - p[0], p[0] / 2, p[0] / 2], axis=1), p[1], nodule.astype(int)


def test_independent_observations_are_joined_as_bayes_rule_has_it():
    probabilities, candidates, labels = slices(40_000, np.random.default_rng(0), own=1.0, found=2.0)

    weights = fit_join(probabilities, candidates, labels)

    expected = JoinWeights.independent(0.1)
    assert weights.bias == pytest.approx(expected.bias, abs=0.2)
    assert (weights.slices, weights.candidates) == pytest.approx((1.0, 1.0), abs=0.1)
    both = join_slices(probabilities, candidates, weights)[:, 1:].sum(axis=1)
    alone = [slice_auroc(score, labels) for score in (probabilities[:, 1], candidates)]
    assert slice_auroc(both, labels) > max(alone) + 0.01


def test_slices_that_know_nothing_get_no_weight_and_never_a_negative_one():
    rng = np.random.default_rng(1)
    probabilities, candidates, labels = slices(20_000, rng, found=2.0)

    noise = fit_join(rng.permutation(probabilities), candidates, labels)
    reversed_ = fit_join(probabilities, 1 - candidates, labels)

    assert noise.slices < 0.1
    assert reversed_.candidates == 0


def test_without_slices_the_weights_are_those_of_bayes_rule():
    weights = fit_join(np.empty((0, 3)), np.empty(0), np.empty(0, dtype=int))

    assert weights == JoinWeights.independent(0.1)
