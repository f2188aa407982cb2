import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata
from sklearn.metrics import confusion_matrix, roc_auc_score
from sklearn.metrics import log_loss as log_loss_of_sklearn

from lidcflow.labels.slices import NoduleSlices
from lidcflow.stats.bootstrap import bootstrap_interval, by_patient, pooled
from lidcflow.stats.held_out import uniform_every_k
from lidcflow.stats.metrics import (
    Study,
    accuracy,
    auroc,
    brier,
    confusion,
    highest_slices,
    log_loss,
    sensitivity_at,
    slice_auroc,
)

RANDOM = np.random.default_rng(0)
PROBABILITIES = RANDOM.dirichlet([3, 1, 1], 300).round(2) + 1e-3
PROBABILITIES /= PROBABILITIES.sum(axis=1, keepdims=True)
LABELS = RANDOM.integers(0, 3, 300)


def study(p_nodule: list[float], *nodules: set[int]) -> Study:
    return Study(np.array(p_nodule), tuple(NoduleSlices(frozenset(slices), 1) for slices in nodules))


def test_auroc_counts_pairs_in_the_right_order_and_ties_half():
    # Nodules 0.9 and 0.5 against 0.5 and 0.1: three pairs right, one tie.
    assert slice_auroc(np.array([0.9, 0.5, 0.5, 0.1]), np.array([2, 1, 0, 0])) == 3.5 / 4


def test_auroc_and_log_loss_and_confusion_are_those_of_scikit_learn():
    p_nodule = 1 - PROBABILITIES[:, 0]

    assert slice_auroc(p_nodule, LABELS) == pytest.approx(roc_auc_score(LABELS > 0, p_nodule))
    assert log_loss(PROBABILITIES, LABELS) == pytest.approx(log_loss_of_sklearn(LABELS, PROBABILITIES))
    np.testing.assert_array_equal(
        confusion(PROBABILITIES, LABELS), confusion_matrix(LABELS, PROBABILITIES.argmax(axis=1))
    )


@pytest.mark.parametrize("seed", range(5))
def test_auroc_has_the_very_digits_of_the_sum_of_ranks_that_releases_have_stored(seed):
    rng = np.random.default_rng(seed)
    score, positive = rng.random(500).round(2), rng.random(500) < 0.1

    n = int(positive.sum())

    by_ranks = (rankdata(score)[positive].sum() - n * (n + 1) / 2) / (n * (len(score) - n))
    assert auroc(score, positive) == by_ranks


def test_auroc_of_scores_that_are_no_numbers_is_not_defined():
    assert math.isnan(auroc(np.array([0.9, np.nan, 0.1]), np.array([True, False, False])))


def test_a_weighted_auroc_counts_pairs_by_the_product_of_their_weights():
    score, positive = np.array([0.9, 0.4, 0.6, 0.1]), np.array([True, True, False, False])

    # The pair of 0.4 and 0.6 alone is in the wrong order: it weighs 1 x 1 of 4 x 5.
    found = auroc(score, positive, np.array([3.0, 1.0, 1.0, 4.0]))

    assert found == pytest.approx((4 * 5 - 1) / (4 * 5))
    assert math.isnan(auroc(score, np.zeros(4, bool), np.ones(4)))


def test_auroc_is_not_defined_without_a_nodule():
    assert math.isnan(slice_auroc(np.array([0.2, 0.1]), np.array([0, 0])))
    assert math.isnan(slice_auroc(np.array([0.2, 0.1]), np.array([1, 2])))


def test_figures_of_no_slices_are_not_defined():
    nothing, none = np.empty((0, 3)), np.empty(0, dtype=int)

    assert all(math.isnan(figure(nothing, none)) for figure in (accuracy, brier, log_loss))


def test_brier_is_0_for_certain_truth_and_2_for_certain_error():
    certain = np.eye(3)

    assert brier(certain, np.array([0, 1, 2])) == 0.0
    assert brier(certain, np.array([1, 2, 0])) == 2.0


def test_log_loss_of_an_impossible_truth_is_large_but_finite():
    assert 500 < log_loss(np.array([[1.0, 0.0, 0.0]]), np.array([2])) < 1000


def test_accuracy_is_the_share_of_right_classes():
    assert accuracy(np.eye(3), np.array([0, 1, 1])) == pytest.approx(2 / 3)


def test_confusion_has_true_classes_in_rows():
    counts = confusion(np.eye(3)[[2, 2]], np.array([0, 2]))

    assert counts.tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 1]]


def test_confusion_has_all_three_classes_where_one_alone_is_there():
    assert confusion(np.eye(3)[[0, 0]], np.array([0, 0])).tolist() == [[2, 0, 0], [0, 0, 0], [0, 0, 0]]


def test_the_highest_slices_come_first_and_the_upper_of_equal_ones():
    assert highest_slices(np.array([0.1, 0.5, 0.9, 0.5]), 3).tolist() == [2, 1, 3]


def test_the_upper_of_many_equal_slices_is_reviewed_first():
    # Slices 1, 3, 5 and so on to 65 are equal.
    assert highest_slices(np.tile([0.5, 0.9], 33), 4).tolist() == [1, 3, 5, 7]


def test_a_nodule_is_found_when_one_of_its_slices_is_reviewed():
    studies = [study([0.9, 0.1, 0.2], {0, 1}, {2}), study([0.1, 0.2, 0.3], {0})]

    assert [sensitivity_at(studies, n) for n in (1, 2, 3)] == [1 / 3, 2 / 3, 1.0]


def test_slices_can_be_reviewed_at_even_steps_instead():
    studies = [study([0.9, 0.1, 0.2], {0}, {1})]

    found = sensitivity_at(studies, 1, review=lambda p_nodule, n: uniform_every_k(len(p_nodule), n))

    assert found == 0.5


def test_sensitivity_is_not_defined_without_nodules():
    assert math.isnan(sensitivity_at([study([0.5])], 1))


@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
@settings(deadline=None)
def test_reviewing_more_slices_never_finds_less(seed: int, n: int):
    random = np.random.default_rng(seed)
    studies = [study(random.random(10).tolist(), {int(random.integers(10))}) for _ in range(5)]

    assert sensitivity_at(studies, n) <= sensitivity_at(studies, n + 1)


def test_rows_are_grouped_by_patient():
    groups = by_patient(["b", "a", "b"], np.array([1, 2, 3]), np.array([0.1, 0.2, 0.3]))

    assert [(first.tolist(), second.tolist()) for first, second in groups] == [([2], [0.2]), ([1, 3], [0.1, 0.3])]


def test_a_pooled_figure_of_all_patients_is_the_figure_of_all_rows():
    keys = [f"patient {number % 7}" for number in range(300)]

    assert pooled(brier)(by_patient(keys, PROBABILITIES, LABELS)) == pytest.approx(brier(PROBABILITIES, LABELS))


def test_patients_of_different_columns_are_not_pooled():
    score, labels = np.array([0.9]), np.array([1])

    with pytest.raises(ValueError, match="shorter"):
        pooled(slice_auroc)([(score, labels), (score,)])


@given(st.lists(st.floats(0, 1), min_size=5, max_size=40), st.integers(0, 100))
@settings(deadline=None, max_examples=30)
def test_the_interval_holds_the_figure_it_is_of(values: list[float], seed: int):
    interval = bootstrap_interval(lambda drawn: float(np.mean(drawn)), values, seed=seed)

    assert interval.low <= np.mean(values) + 1e-12
    assert np.mean(values) <= interval.high + 1e-12


def test_the_interval_of_a_mean_has_the_width_that_theory_gives():
    values = np.random.default_rng(3).normal(0, 1, 400).tolist()

    low, high = bootstrap_interval(lambda drawn: float(np.mean(drawn)), values, seed=0)

    assert high - low == pytest.approx(2 * 1.96 / math.sqrt(400), rel=0.15)


def test_the_same_seed_gives_the_same_interval():
    values = RANDOM.random(50).tolist()

    intervals = {bootstrap_interval(lambda drawn: float(np.mean(drawn)), values, seed=seed) for seed in (1, 1, 2)}

    assert len(intervals) == 2


def test_patients_are_drawn_and_not_slices():
    # Ten patients of 100 equal slices each: the interval is that of ten values, not of a thousand.
    patients = [(np.full((100, 3), 1 / 3), np.full(100, patient % 2)) for patient in range(10)]

    low, high = bootstrap_interval(pooled(lambda _, labels: float(labels.mean())), patients, seed=0)

    assert high - low > 0.4


def test_draws_that_do_not_define_the_figure_are_left_out():
    patients = [(np.array([0.9]), np.array([1])), (np.array([0.1]), np.array([0]))]

    assert bootstrap_interval(pooled(slice_auroc), patients, seed=0) == (1.0, 1.0)


@pytest.mark.parametrize("groups", [[], [1.0], [math.nan, math.nan]])
def test_an_interval_needs_two_patients_and_a_defined_figure(groups: list[float]):
    interval = bootstrap_interval(lambda drawn: float(np.mean(drawn)), groups, seed=0)

    assert math.isnan(interval.low)
    assert math.isnan(interval.high)
