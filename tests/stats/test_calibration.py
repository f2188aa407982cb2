import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from lidcflow.stats.calibration import Calibration, apply, calibration_bins, fit_calibration, prior_offsets, reliability

LABELS = np.array([0, 0, 1, 2])
LOGITS = np.array([[2.0, 0.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 3.0]])

SCALES = st.floats(0.3, 2.5)
OFFSETS = st.tuples(*[st.floats(-1, 1)] * 3)


def drawn(scale: float, offsets: tuple[float, float, float], slices: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn with the probabilities that they have under a calibration."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (slices, 3))
    cumulated = apply(Calibration(scale, offsets), logits).cumsum(axis=1)
    return logits, (random.random((slices, 1)) > cumulated).sum(axis=1).clip(max=2)


def test_calibrated_probabilities_are_the_softmax_of_scaled_logits_plus_offsets():
    probabilities = apply(Calibration(2.0, (0.0, math.log(2), 0.0)), np.array([[0.0, 0.0, math.log(3) / 2]]))

    np.testing.assert_allclose(probabilities, [[1 / 6, 2 / 6, 3 / 6]])


@given(scale=SCALES, offsets=OFFSETS)
@settings(deadline=None, max_examples=20)
def test_a_known_scale_and_offsets_are_recovered(scale: float, offsets: tuple[float, float, float]):
    logits, labels = drawn(scale, offsets, slices=20_000)

    fitted = fit_calibration(logits, labels)

    assert fitted.scale == pytest.approx(scale, abs=0.1)
    # A constant on all offsets changes no probability.
    assert np.subtract(fitted.offsets, fitted.offsets[0]) == pytest.approx(np.subtract(offsets, offsets[0]), abs=0.15)


def test_without_validation_slices_only_the_balance_is_undone():
    fitted = fit_calibration(np.empty((0, 3)), np.empty(0, dtype=int), (2.0, -1.0, -0.5))

    assert fitted.scale == pytest.approx(1.0)
    assert fitted.offsets == pytest.approx((2.0, -1.0, -0.5))


def test_a_few_slices_move_the_calibration_a_little():
    fitted = fit_calibration(LOGITS, LABELS, (1.0, -0.5, -0.5))

    assert 0.5 < fitted.scale < 2.0
    assert np.abs(np.subtract(fitted.offsets, (1.0, -0.5, -0.5))).max() < 1.0


def test_misleading_logits_are_damped_but_never_reversed():
    logits, labels = drawn(1.0, (0.0, 0.0, 0.0), slices=2000)

    fitted = fit_calibration(-logits, labels)

    assert 0 < fitted.scale < 0.1


@given(scale=SCALES)
def test_a_pure_scale_leaves_the_most_probable_class(scale: float):
    logits = np.random.default_rng(1).normal(0, 3, (200, 3))

    calibrated = apply(Calibration(scale, (0.0, 0.0, 0.0)), logits)

    np.testing.assert_array_equal(calibrated.argmax(axis=1), logits.argmax(axis=1))


@given(scale=SCALES, offset=st.floats(-3, 3))
def test_calibration_leaves_the_order_of_slices_when_the_nodule_classes_move_together(scale: float, offset: float):
    nodule = np.random.default_rng(2).normal(0, 2, 200)
    logits = np.stack([np.zeros(200), nodule, nodule], axis=1)

    p_nodule = 1 - apply(Calibration(scale, (offset, 0.0, 0.0)), logits)[:, 0]

    np.testing.assert_array_equal(p_nodule.argsort(), nodule.argsort())


def test_prior_offsets_turn_balanced_probabilities_into_natural_ones():
    balanced = np.array([[0.5, 0.25, 0.25]])

    offsets = prior_offsets([100, 100, 100], [900, 50, 50])
    natural = apply(Calibration(1.0, offsets), np.log(balanced))

    np.testing.assert_allclose(natural, [[0.5 * 0.9, 0.25 * 0.05, 0.25 * 0.05] / np.float64(0.475)])


def test_prior_offsets_take_shares_as_well_as_counts():
    assert prior_offsets([0.5, 0.25, 0.25], [18, 1, 1]) == pytest.approx(prior_offsets([200, 100, 100], [900, 50, 50]))


def test_a_class_that_is_nowhere_leaves_the_offsets_finite():
    assert np.isfinite(prior_offsets([10, 0, 10], [100, 0, 10])).all()


def test_probabilities_sum_to_1():
    probabilities = apply(Calibration(3.0, (1.0, -2.0, 0.0)), LOGITS * 100)

    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    np.testing.assert_allclose(apply(Calibration(1.0, (0.0, 0.0, 0.0)), LOGITS), softmax(LOGITS, axis=1))


def test_each_class_is_moved_by_its_own_shares():
    offsets = prior_offsets([10, 20, 70], [80, 15, 5])

    assert offsets == pytest.approx((math.log(0.8 / 0.1), math.log(0.15 / 0.2), math.log(0.05 / 0.7)))


def test_a_class_that_is_nowhere_counts_as_one_slice_in_ten_thousand():
    offsets = prior_offsets([1, 0, 1], [1, 1, 0])

    assert offsets == pytest.approx((0.0, math.log(0.5 / 1e-4), math.log(1e-4 / 0.5)))


def test_logits_that_say_nothing_move_the_offsets_alone():
    labels, prior = np.repeat([0, 1, 2], [6, 3, 1]), np.array([0.5, -0.25, 0.0])

    fitted = fit_calibration(np.zeros((10, 3)), labels, tuple(prior))

    # Each offset goes from its prior as far as slices of its class exceed what the offsets predict.
    assert fitted.scale == pytest.approx(1.0, abs=1e-4)
    np.testing.assert_allclose(fitted.offsets - prior, [6, 3, 1] - 10 * softmax(fitted.offsets), atol=1e-3)


def test_the_scale_goes_from_1_with_half_the_deviation_of_the_offsets():
    fitted = fit_calibration(LOGITS, LABELS)

    missing = np.eye(3)[LABELS] - apply(fitted, LOGITS)
    assert (fitted.scale - 1) / 0.5**2 == pytest.approx((missing * LOGITS).sum(), abs=1e-3)
    np.testing.assert_allclose(fitted.offsets, missing.sum(axis=0), atol=1e-3)


def test_the_least_scale_is_one_twentieth():
    logits, labels = drawn(1.0, (0.0, 0.0, 0.0), slices=2000)

    assert fit_calibration(-logits, labels).scale == 0.05


def test_flat_logits_and_labels_of_any_type_are_fitted_alike():
    fitted = fit_calibration(LOGITS.astype(np.float32).ravel(), LABELS.astype(np.int8))

    assert fitted == fit_calibration(LOGITS, LABELS)


def test_probabilities_of_single_precision_logits_are_as_exact_as_of_double_ones():
    calibration = Calibration(1 / 3, (0.1, 0.2, 0.3))

    np.testing.assert_array_equal(apply(calibration, LOGITS.astype(np.float32)), apply(calibration, LOGITS))


def test_bins_hold_equal_numbers_of_slices_and_rise_with_probability():
    p_nodule = np.random.default_rng(0).permutation(np.arange(40) / 100)

    bins = calibration_bins(p_nodule)

    np.testing.assert_array_equal(bins, (p_nodule * 100).round().astype(int) // 4)


def test_equal_probabilities_share_the_bin_above_their_edge():
    bins = calibration_bins(np.repeat([0.125, 0.25], [90, 10]))

    # Nine tenths of the slices lie on the first edge, so the bin below it is empty.
    assert bins.tolist() == [1] * 90 + [2] * 10
    assert bins.dtype == np.int64


def test_reliability_compares_what_was_called_with_what_was_there():
    p_nodule, labels = np.repeat([0.5, 0.25], [4, 8]), np.array([1, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 2])

    assert reliability(p_nodule, labels) == [(0.25, 0.125, 8), (0.5, 0.75, 4)]


def test_without_slices_there_is_no_reliability():
    assert reliability(np.empty(0), np.empty(0, dtype=int)) == []
