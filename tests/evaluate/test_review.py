"""What a reader of N slices sees, and what can be spared."""

import numpy as np

from lidcflow.evaluate.review import found_at_even_steps, found_by_rank, patients_of_nodules, review_figures
from lidcflow.evaluate.truth import Finding


def nodule(*slices):
    return Finding(frozenset(slices), 1, 5.0, 1)


def test_a_nodule_is_seen_with_the_best_of_its_slices():
    scores = np.array([[0.9, 0.1, 0.2], [0.1, 0.2, 0.3]])

    found = found_by_rank(scores, [[nodule(0, 1), nodule(2)], [nodule(0)]])

    assert found.tolist() == [[True, True, True], [False, True, True], [False, False, True]]


def test_even_steps_see_what_lies_on_them():
    # Of 4 slices: 2 for n = 1; 1 and 3 for n = 2; 0, 2 and 3 for n = 3; all.
    assert found_at_even_steps(4, [[nodule(1)]]).tolist() == [[False, True, False, True]]


def test_sensitivity_counts_nodules_and_sparing_takes_the_smallest_number_that_is_enough():
    found = found_by_rank(np.array([np.linspace(1, 0, 20)]), [[nodule(0), nodule(4)]])

    figures = review_figures(found, np.zeros(2, dtype=int), np.ones((1, 1)))

    assert [figures[f"sensitivity_at_{n}"].value for n in (1, 2, 5, 10, 20)] == [0.5, 0.5, 1.0, 1.0, 1.0]
    assert figures["spared_at_95"].value == 0.75


def test_numbers_beyond_the_slices_of_a_study_are_left_out():
    figures = review_figures(np.ones((1, 8), dtype=bool), np.zeros(1, dtype=int), np.ones((1, 1)))

    assert set(figures) == {"sensitivity_at_1", "sensitivity_at_2", "sensitivity_at_5", "spared_at_95"}


def test_without_nodules_there_is_no_sensitivity():
    figures = review_figures(found_by_rank(np.ones((1, 8)), [[]]), np.zeros(0, dtype=int), np.ones((1, 1)))

    assert {one.value for one in figures.values()} == {None}


def test_patients_with_more_nodules_weigh_more_in_a_draw():
    found = np.array([[True], [True], [False]])
    draws = np.array([[1.0, 1.0], [0.0, 2.0], [2.0, 0.0]])

    sensitivity = review_figures(found, np.array([0, 0, 1]), draws)["sensitivity_at_1"]

    assert (round(sensitivity.value, 3), sensitivity.low < 0.1, sensitivity.high > 0.9) == (0.667, True, True)


def test_nodules_are_told_by_patient_in_the_order_of_the_studies():
    assert patients_of_nodules(np.array([3, 1]), [[nodule(0), nodule(1)], [nodule(2)]]).tolist() == [3, 3, 1]
