"""Findings judged by the readings of their series, by LUNA16's rule."""

import numpy as np
import pytest

from lidcflow.labels.readings import MarkedSlice, Nodule, Origin, Reading
from lidcflow.nodules.finding_figures import MISSED, FindingDraws, SeriesMarks, marks_of
from lidcflow.nodules.scored import PLACE, ScoredCandidates
from tests.nodules.small_record import small_record

HEIGHTS = (22.5, 17.5)
"""Two of the images of `small_record`, 5 mm apart; its pixels are 0.5 mm down and 0.25 mm across."""


def nodule(row, column, readers=3, half=8):
    """Outlines of a square of 8 mm down and 4 mm across in two images, by some readers."""
    corners = [(-half, -half), (-half, half), (half, half), (half, -half)]
    points = np.array([(row + down, column + across) for down, across in corners])
    marks = tuple(MarkedSlice(z_mm, points=points) for z_mm in HEIGHTS)
    return Nodule(tuple(Reading("1.2", 3.0, Origin("xml", str(k)), marks) for k in range(readers)))


def scored(*candidates):
    """Candidates at (z in mm, row, column, P), each 2 mm wide."""
    places = np.array([(z_mm, row, column, 2.0) for z_mm, row, column, _ in candidates], dtype=PLACE)
    return ScoredCandidates(places, np.array([p for *_, p in candidates]), np.full(len(candidates), np.nan))


def test_a_nodule_has_the_score_of_its_best_candidate_and_further_ones_are_no_false_marks():
    found = marks_of(scored((20, 20, 20, 0.6), (17, 26, 24, 0.8), (20, 60, 60, 0.3)), [nodule(20, 20)], small_record())

    assert (found.found.tolist(), found.false.tolist(), found.reached.tolist()) == ([0.8], [0.3], [True])


def test_a_nodule_of_two_readers_is_neither_found_nor_missed_nor_false():
    found = marks_of(scored((20, 20, 20, 0.6)), [nodule(20, 20, readers=2)], small_record())

    assert (len(found.found), len(found.false)) == (0, 0)


def test_a_nodule_below_three_millimetres_does_not_count():
    found = marks_of(scored((20, 20, 20, 0.6)), [nodule(20, 20, half=0.2)], small_record())

    assert (len(found.found), len(found.false)) == (0, 0)


def test_a_candidate_that_a_better_one_covers_is_no_false_mark():
    found = marks_of(scored((30, 60, 60, 0.6), (30, 61, 61, 0.5)), [], small_record())

    assert found.false.tolist() == [0.6]


def test_a_nodule_without_a_candidate_is_missed():
    found = marks_of(scored((30, 60, 60, 0.6)), [nodule(20, 20)], small_record())

    assert (found.found.tolist(), found.reached.tolist()) == ([MISSED], [False])


def of_series(false, found):
    found = np.array(found, np.float64)
    return SeriesMarks(np.array(false, np.float64), found, found > MISSED)


def draws(*marks):
    return FindingDraws(marks, np.arange(len(marks)), np.ones((1, len(marks))))


def test_the_figures_are_those_at_the_threshold_and_along_the_curve():
    # 0.9 is a nodule, 0.8 is false, 0.4 is a nodule, and one nodule is missed, in two scans.
    figures = draws(of_series([0.8], [0.9]), of_series([], [0.4, MISSED])).figures(0.5)

    values = {name: one.value for name, one in figures.figures.items()}
    assert (figures.patients, figures.series, figures.nodules) == (2, 2, 3)
    assert values["candidate_sensitivity"] == pytest.approx(2 / 3)
    assert values["sensitivity"] == pytest.approx(1 / 3)
    assert values["false_findings"] == 0.5
    assert (values["froc_at_1/4"], values["froc_at_1/2"]) == pytest.approx((1 / 3, 2 / 3))
    assert values["cpm"] == pytest.approx((2 * 1 + 5 * 2) / 3 / 7)


def test_a_series_without_candidates_is_left_out():
    with_it, alone = draws(of_series([0.8], [0.9]), None), draws(of_series([0.8], [0.9]))

    assert with_it.figures(0.5) == alone.figures(0.5)
    assert with_it.nodule_patients == 1


def test_series_without_nodules_that_count_have_no_sensitivity():
    figures = draws(of_series([0.8], [])).figures(0.5)

    assert (figures.figures["cpm"].value, figures.figures["false_findings"].value, figures.curve) == (None, 1.0, ())


def test_intervals_are_over_patients():
    marks = [of_series([0.5], [0.9 if k % 2 else MISSED]) for k in range(10)]
    drawn = np.vstack([np.ones(10), np.random.default_rng(0).multinomial(10, np.full(10, 0.1), 200)])

    cpm = FindingDraws(marks, np.arange(10), drawn).figures(0.5).figures["cpm"]

    assert cpm.low < cpm.value == 0.5 < cpm.high
