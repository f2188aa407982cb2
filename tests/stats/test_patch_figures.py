import numpy as np
import pytest

from lidcflow.stats.patch_figures import patch_figures, sensitivity_at_specificity

SERIES = np.array(["a", "a", "b", "b"])
NODULE = np.array([True, False, True, False])


def test_perfect_scores_have_figures_of_1_with_intervals_over_series():
    figures = patch_figures(np.array([0.9, 0.1, 0.8, 0.2]), NODULE, SERIES)

    assert (figures.patches, figures.nodules, figures.series) == (4, 2, 2)
    assert (figures.auroc.value, figures.auroc.low, figures.auroc.high) == (1.0, 1.0, 1.0)
    assert figures.sensitivity.value == 1.0


def test_one_series_has_no_interval():
    figures = patch_figures(np.array([0.9, 0.1, 0.3, 0.2]), NODULE, np.array(["a"] * 4))

    assert figures.auroc.value == 1.0
    assert figures.auroc.low is None


def test_a_score_equal_to_the_threshold_is_not_above_it():
    assert sensitivity_at_specificity(np.array([0.5, 0.5, 0.1]), np.array([True, False, False])) == 0.0


def test_sensitivity_needs_both_kinds():
    assert np.isnan(sensitivity_at_specificity(np.ones(2), np.ones(2, bool)))


def test_series_are_drawn_whole():
    rng = np.random.default_rng(0)
    score, nodule = rng.normal(size=40), np.arange(40) % 2 == 0
    by_series = patch_figures(score, nodule, np.repeat(["a", "b"], 20).astype(str))
    by_patch = patch_figures(score, nodule, np.arange(40).astype(str))

    assert by_series.auroc.value == pytest.approx(by_patch.auroc.value)
    assert by_series.auroc.low != by_patch.auroc.low
