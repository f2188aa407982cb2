"""Two releases on the same patients, draw by draw."""

import numpy as np
import pytest

from lidcflow.evaluate.slice_metrics import Rows, slice_figures
from lidcflow.stats.bootstrap import estimate
from lidcflow.stats.metrics import log_loss, slice_auroc
from lidcflow.stats.paired import Sample, auroc_draws, calibration_error_draws, log_loss_draws

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(0, 3, (30, 6)).astype(np.int8)
P = RANDOM.dirichlet([4, 1, 1], LABELS.shape)
SAMPLE = Sample.of([f"p{number // 2:02d}" for number in range(30)], LABELS, seed=1, resamples=200)


def test_the_first_draw_is_the_sample_itself():
    assert SAMPLE.patient_count == 15
    assert auroc_draws(P, SAMPLE)[0] == pytest.approx(slice_auroc(P[..., 1:].sum(-1).ravel(), LABELS.ravel()))
    assert log_loss_draws(P, SAMPLE)[0] == pytest.approx(log_loss(P.reshape(-1, 3), LABELS.ravel()))


def test_a_sector_is_a_part_of_every_study():
    inside = slice(2, 4)

    found = auroc_draws(P, SAMPLE, inside)[0]

    assert found == pytest.approx(slice_auroc(P[:, inside, 1:].sum(-1).ravel(), LABELS[:, inside].ravel()))


def test_the_calibration_error_is_that_of_an_evaluation():
    rows = Rows.of(P.reshape(-1, 3), LABELS.ravel(), np.repeat(SAMPLE.patients, 6))

    expected = slice_figures(rows, SAMPLE.draws, balanced=False)["ece_nodule"]

    found = estimate(calibration_error_draws(P, SAMPLE))
    assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))


def test_the_interval_of_a_difference_is_narrower_than_those_of_the_two():
    close = P * 0.95 + 0.05 / 3 * RANDOM.random(P.shape)

    one, other = auroc_draws(P, SAMPLE), auroc_draws(close, SAMPLE)

    difference, alone = estimate(one - other), estimate(one)
    assert difference.high - difference.low < (alone.high - alone.low) / 2


def test_patients_with_a_nodule_are_counted_once():
    labels = np.array([[1, 0], [2, 0], [0, 0], [0, 1]], dtype=np.int8)
    sample = Sample.of(["a", "a", "b", "c"], labels, resamples=10)

    assert (sample.nodule_patients(), sample.nodule_patients(slice(0, 1))) == (2, 1)
