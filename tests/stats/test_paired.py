"""Two releases on the same patients, draw by draw."""

import numpy as np
import pytest

from lidcflow.evaluate.slice_metrics import Rows, slice_figures
from lidcflow.stats.bootstrap import draw_patients, estimate
from lidcflow.stats.metrics import log_loss, slice_auroc
from lidcflow.stats.paired import Sample, auroc_draws, calibration_error_draws, log_loss_draws

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(0, 3, (30, 6)).astype(np.int8)
P = RANDOM.dirichlet([4, 1, 1], LABELS.shape)


@pytest.fixture
def sample() -> Sample:
    """Draw fifteen patients of two studies each."""
    return Sample.of([f"p{number // 2:02d}" for number in range(30)], LABELS, seed=1, resamples=200)


def test_the_first_draw_is_the_sample_itself(sample: Sample):
    assert sample.patient_count == 15
    assert auroc_draws(P, sample)[0] == pytest.approx(slice_auroc(P[..., 1:].sum(-1).ravel(), LABELS.ravel()))
    assert log_loss_draws(P, sample)[0] == pytest.approx(log_loss(P.reshape(-1, 3), LABELS.ravel()))


def test_the_draws_are_those_of_patients_by_key_a_thousand_of_seed_0_by_default():
    found = Sample.of(["b", "a", "b"], np.zeros((3, 1), dtype=np.int8))

    assert found.patients.tolist() == [1, 0, 1]
    np.testing.assert_array_equal(found.draws, draw_patients(2, seed=0, resamples=1000))


def test_a_sector_is_a_part_of_every_study(sample: Sample):
    inside = slice(2, 4)

    found = auroc_draws(P, sample, inside)[0]

    assert found == pytest.approx(slice_auroc(P[:, inside, 1:].sum(-1).ravel(), LABELS[:, inside].ravel()))


def test_the_calibration_error_is_that_of_an_evaluation(sample: Sample):
    rows = Rows.of(P.reshape(-1, 3), LABELS.ravel(), np.repeat(sample.patients, 6))

    expected = slice_figures(rows, sample.draws, balanced=False)["ece_nodule"]

    found = estimate(calibration_error_draws(P, sample))
    assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))


def test_the_interval_of_a_difference_is_narrower_than_those_of_the_two(sample: Sample):
    close = P * 0.95 + 0.05 / 3 * RANDOM.random(P.shape)

    one, other = auroc_draws(P, sample), auroc_draws(close, sample)

    difference, alone = estimate(one - other), estimate(one)
    assert difference.high - difference.low < (alone.high - alone.low) / 2


def test_patients_with_a_nodule_are_counted_once():
    labels = np.array([[1, 0], [2, 0], [0, 0], [0, 1]], dtype=np.int8)
    sample = Sample.of(["a", "a", "b", "c"], labels, resamples=10)

    assert (sample.nodule_patients(), sample.nodule_patients(slice(0, 1))) == (2, 1)
