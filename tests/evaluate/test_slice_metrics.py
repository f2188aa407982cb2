"""Figures of slices, natural and class-balanced."""

import numpy as np
import pytest

from lidcflow.evaluate.slice_metrics import Rows, at_equal_shares, slice_figures
from lidcflow.stats.bootstrap import draw_patients
from lidcflow.stats.calibration import calibration_bins
from lidcflow.stats.estimate import Estimate

SURE = np.eye(3) * 0.7 + 0.1
"""Row k calls class k with 0.8."""


def figures(called, labels, *, balanced=False, draws=None):
    rows = Rows.of(SURE[called], np.array(labels), np.zeros(len(labels), dtype=int))
    found = slice_figures(rows, np.ones((1, 1)) if draws is None else draws, balanced=balanced)
    return {name: one.value for name, one in found.items()}


def test_accuracy_precision_and_recall_are_shares_of_slices():
    found = figures(called=[0, 0, 0, 1, 2], labels=[0, 0, 1, 1, 2])

    assert found["accuracy"] == 4 / 5
    assert (found["precision_non_nodule"], found["recall_non_nodule"]) == (pytest.approx(2 / 3), 1.0)
    assert (found["precision_benign"], found["recall_benign"]) == (1.0, 0.5)
    assert (found["precision_malignant"], found["recall_malignant"]) == (1.0, 1.0)


def test_balanced_figures_weight_each_class_alike():
    found = figures(called=[0] * 10, labels=[0] * 8 + [1, 2], balanced=True)

    assert found["accuracy"] == pytest.approx(1 / 3)
    assert found["precision_non_nodule"] == pytest.approx(1 / 3)


def test_brier_is_the_mean_squared_distance_of_p_nodule():
    # Called none: P(nodule) 0.2, called benign: 0.9.
    assert figures(called=[0, 1], labels=[0, 0])["brier_nodule"] == pytest.approx((0.2**2 + 0.9**2) / 2)


def test_the_calibration_error_is_the_distance_of_each_bin_from_the_truth():
    # Ten slices called 0.2 of which one holds a nodule, ten called 0.9 that all do: half of 0.1, and half of 0.1.
    found = figures(called=[0] * 10 + [1] * 10, labels=[1] + [0] * 9 + [1] * 10)

    assert found["ece_nodule"] == pytest.approx(0.1)


def test_bins_hold_equal_numbers_and_equal_probabilities_share_one():
    assert np.bincount(calibration_bins(np.linspace(0, 1, 50))).tolist() == [5] * 10
    assert len(set(calibration_bins(np.full(50, 0.3)))) == 1


def test_what_is_calibrated_for_rare_nodules_is_moved_to_equal_shares():
    moved = at_equal_shares(np.array([[0.8, 0.1, 0.1], [0.5, 0.25, 0.25]]), np.array([0.8, 0.1, 0.1]))

    np.testing.assert_allclose(moved, [[1 / 3] * 3, np.array([1, 4, 4]) / 9])


def test_a_class_that_is_absent_leaves_its_figures_undefined():
    found = figures(called=[0, 0], labels=[0, 0])

    assert [found[key] for key in ("auroc_nodule", "auprc_malignant", "recall_benign")] == [None] * 3
    assert found["accuracy"] == 1.0


def test_a_ranking_alone_has_areas_and_no_probabilities_to_judge():
    rows = Rows(np.array([0, 1]), np.array([0, 0]), {"nodule": np.array([0.1, 7.5]), "malignant": np.array([0.1, 7.5])})

    found = slice_figures(rows, np.ones((1, 1)), balanced=False)

    assert set(found) == {"auroc_nodule", "auprc_nodule", "auroc_malignant", "auprc_malignant"}
    assert found["auroc_nodule"] == Estimate(value=1.0)


@pytest.mark.parametrize("balanced", [False, True])
def test_draws_agree_with_scikit_learn_on_the_sample_itself(balanced):
    random = np.random.default_rng(0)
    rows = Rows.of(random.dirichlet([3, 1, 1], 90), random.integers(0, 3, 90), np.arange(90) // 9)
    itself = np.ones((2, 10))

    found = slice_figures(rows, itself, balanced=balanced)

    for name, one in found.items():
        assert one.low == pytest.approx(one.value, rel=1e-5), name


def test_intervals_come_from_drawing_patients():
    # Ten patients of nine slices each, all right or all wrong: the interval is that of ten, not of ninety.
    rows = Rows.of(SURE[np.zeros(90, dtype=int)], np.repeat(np.arange(10) % 2, 9), np.arange(90) // 9)

    found = slice_figures(rows, draw_patients(10, seed=0, resamples=500), balanced=False)

    assert found["accuracy"].value == 0.5
    assert found["accuracy"].high - found["accuracy"].low > 0.4
