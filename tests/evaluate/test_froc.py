"""Ranges at every threshold, and at the release's own."""

import numpy as np
import pytest

from lidcflow.evaluate.froc import froc, range_figures
from lidcflow.evaluate.truth import Finding, HeldOutStudies


def studies(*findings, slices=6):
    nodules = [[Finding(frozenset(one), 1, 5.0, 1) for one in of_study] for of_study in findings]
    labels = np.zeros((len(findings), slices), dtype=np.int8)
    return HeldOutStudies(np.arange(len(findings)), labels, nodules, [{}] * len(findings))


def test_the_curve_rises_with_the_false_ranges_allowed():
    # 0.9 finds the first nodule, 0.8 is false, 0.7 finds the second.
    scores = np.array([[0.9, 0.1, 0.8, 0.1, 0.7, 0.1]])

    found = froc(scores, studies([{0}, {4}]), np.ones((1, 1)))

    assert found.figures["froc_at_1/2"].value == 0.5
    assert found.figures["froc_at_1"].value == 1.0
    assert found.curve.tolist() == [[0.0, 0.5], [1.0, 1.0]]


def test_the_whole_chest_as_one_range_finds_its_peak_only():
    scores = np.array([[0.5, 0.5, 0.5, 0.9, 0.5, 0.5]])

    found = froc(scores, studies([{0}, {3}]), np.ones((1, 1)))

    assert found.figures["froc_at_8"].value == 0.5


def test_false_ranges_are_counted_a_study():
    # One false range in two studies, above the nodule.
    scores = np.array([[0.9, 0, 0, 0, 0, 0], [0, 0, 0.8, 0, 0, 0]])

    found = froc(scores, studies([], [{2}]), np.ones((1, 2)))

    assert [found.figures[f"froc_at_{rate}"].value for rate in ("1/4", "1/2")] == [0.0, 1.0]


def test_many_thresholds_are_thinned_where_most_slices_are_above():
    scores = np.random.default_rng(0).random((20, 65))
    truth = studies(*[[{k}] for k in range(20)], slices=65)

    found = froc(scores, truth, np.ones((1, 20)))

    reached = [found.figures[f"froc_at_{rate}"].value for rate in ("1/8", "1", "8")]
    assert reached == sorted(reached)


def test_a_reader_of_all_ranges_sees_any_slice_of_them():
    # Ranges 0-1 and 4 of six slices: the first shows a nodule beside its peak, the second is false.
    scores = np.array([[0.9, 0.8, 0.1, 0.1, 0.7, 0.1]])

    at = range_figures(scores, 0.7, studies([{1}, {3}]), np.ones((1, 1)))

    assert (at["nodules_shown"].value, at["false_ranges"].value) == (0.5, 1.0)
    assert at["slices_in_ranges"].value == pytest.approx(3 / 6)
