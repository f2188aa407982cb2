"""Patients are drawn, the same ones for the same seed."""

import numpy as np
import pytest

from lidcflow.learn.bootstrap import draw_patients, estimate, ratio
from lidcflow.learn.release import Estimate


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
