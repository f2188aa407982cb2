"""FROC of marks in draws of patients."""

import numpy as np
import pytest

from lidcflow.stats.froc import FALSE_MARKS, Marks, froc_of, froc_thresholds


def marks(false, found, targets, looked_at=(1, 1)):
    return Marks(np.array(false), np.array(found), np.array(targets), np.array(looked_at), np.arange(len(targets)))


TWO = marks(false=[[0, 1, 3], [0, 0, 1]], found=[[1, 1, 1], [0, 1, 1]], targets=[1, 1])
"""Two scans at three thresholds: 1 of 2 found with no false mark, 2 with one in two scans."""


def test_the_sensitivity_is_the_best_with_at_most_so_many_false_marks_a_scan():
    found = froc_of(TWO, np.ones((1, 2)))

    assert [found.at(rate)[0] for rate in (0.25, 0.5, 4)] == [0.5, 1.0, 1.0]
    assert found.curve().tolist() == [[0.0, 0.5], [0.5, 1.0]]


def test_the_cpm_is_the_mean_sensitivity_over_seven_rates():
    found = froc_of(TWO, np.ones((1, 2)))

    assert found.cpm()[0] == pytest.approx((2 * 0.5 + 5 * 1.0) / len(FALSE_MARKS))


def test_a_draw_counts_each_patient_as_often_as_it_is_drawn():
    # The second patient twice: both are found with no false mark in two scans at the second threshold.
    found = froc_of(TWO, np.array([[1.0, 1.0], [0.0, 2.0]]))

    assert (found.at(0.125)[1], found.cpm()[1]) == (1.0, 1.0)


def test_a_scan_that_was_not_looked_at_does_not_dilute_the_false_marks():
    one = marks(false=[[0, 1], [0, 0]], found=[[0, 1], [0, 0]], targets=[1, 0], looked_at=(1, 0))

    assert froc_of(one, np.ones((1, 2))).at(0.5)[0] == 0.0


def test_without_targets_there_are_neither_figures_nor_a_curve():
    none = marks(false=[[0, 1], [0, 0]], found=[[0, 0], [0, 0]], targets=[0, 0])
    found = froc_of(none, np.ones((1, 2)))

    assert {one.value for one in found.figures().values()} == {None}
    assert not len(found.curve())


def test_thresholds_fall_from_above_all_scores():
    assert froc_thresholds(np.array([0.2, 0.9, 0.2])).tolist() == [np.inf, 0.9, 0.2]
    assert froc_thresholds(np.empty(0)).tolist() == [np.inf]
