"""What a release answers for slices: sector models joined with candidates, or what stands in for them."""

import numpy as np
import pytest

from lidcflow.nodules.join_weights import JoinWeights
from lidcflow.nodules.slice_scores import join_slices
from lidcflow.release.answer import UnlikeTraining, answer_for_series, answers, findings_alone, fit_pin
from lidcflow.release.pins import FindingPin, NodulePin

OWN = np.array([[0.9, 0.05, 0.05], [0.5, 0.25, 0.25]])
HEIGHTS = ((0.8, 0.1, 0.1), (0.6, 0.2, 0.2))
BEST = np.array([[0.01, np.nan], [0.7, 0.9]])
"""P(nodule) of the best candidate in each slice, and P(malignant) of the finding in the second."""
DETECTOR = FindingPin(detector="embedded", version=1, sha256="ab", threshold=0.5)
PIN = NodulePin(
    **DETECTOR.model_dump(),
    with_sectors=JoinWeights(bias=0.5, slices=1, candidates=1),
    with_height=JoinWeights(bias=1, slices=0.5, candidates=1),
    chest_height=HEIGHTS,
)


def test_sector_models_are_joined_with_the_best_candidates():
    np.testing.assert_allclose(answer_for_series(PIN, OWN, BEST), join_slices(OWN, BEST[:, 0], PIN.with_sectors))


def test_the_height_stands_in_where_there_are_no_sector_models():
    by_height = join_slices(np.array(HEIGHTS), BEST[:, 0], PIN.with_height)

    np.testing.assert_allclose(answer_for_series(PIN, None, BEST), by_height)


def test_the_slices_own_scores_stand_where_nobody_searched_for_candidates():
    np.testing.assert_array_equal(answer_for_series(PIN, OWN, None), OWN)
    np.testing.assert_array_equal(answer_for_series(PIN, None, None), HEIGHTS)


def test_a_release_without_a_detector_answers_by_its_sector_models_alone():
    np.testing.assert_array_equal(answer_for_series(None, OWN, BEST), OWN)
    with pytest.raises(ValueError, match="must have sector models or pin a detector"):
        answer_for_series(None, None, BEST)


def test_several_series_are_answered_one_by_one():
    embedded = PIN.model_copy(update={"with_height": JoinWeights(bias=2, slices=1, candidates=2)})
    others = UnlikeTraining(np.array([False, False, True]), embedded, [None, None, BEST / 2])

    found = answers(PIN, np.stack([OWN, OWN, OWN]), [BEST, None, BEST], others)

    np.testing.assert_allclose(found[0], answer_for_series(PIN, OWN, BEST))
    np.testing.assert_allclose(found[1], OWN)
    np.testing.assert_allclose(found[2], answer_for_series(embedded, None, BEST / 2))
    np.testing.assert_allclose(findings_alone(PIN, [BEST, None])[1], HEIGHTS)


def test_the_joining_is_fitted_where_candidates_are_and_trusts_what_tells_nodules_apart():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (30, 2))
    said = np.clip(labels * 0.6 + 0.2 + rng.normal(0, 0.1, labels.shape), 0.01, 0.99)
    blind = np.broadcast_to(np.array([0.5, 0.25, 0.25]), (30, 2, 3))

    said = np.stack([said, np.full(said.shape, np.nan)], axis=-1)

    pin = fit_pin(DETECTOR, blind, [*said[:29], None], labels, np.array(HEIGHTS))

    joined = answers(pin, blind, list(said))
    assert (pin.sha256, pin.chest_height) == ("ab", HEIGHTS)
    assert pin.with_sectors.candidates > 1
    assert joined[labels > 0, 1:].sum(axis=1).min() > joined[labels == 0, 1:].sum(axis=1).max()


def test_malignancy_of_findings_joins_that_of_the_sector_models_and_leaves_nodules_as_probable():
    pin = PIN.model_copy(update={"malignant_with_sectors": JoinWeights(bias=0, slices=1, candidates=1)})

    found, without = (answer_for_series(one, OWN, BEST) for one in (pin, PIN))

    np.testing.assert_allclose(found[0], without[0])
    np.testing.assert_allclose(found[:, 0], without[:, 0])
    assert found[1, 2] / found[1, 1:].sum() == pytest.approx(0.9)  # the sector models see as much of either


def test_how_malignancy_is_joined_is_fitted_on_nodule_slices_with_findings():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, (60, 2))
    malignant = np.where(labels == 2, rng.uniform(0.6, 0.9, labels.shape), rng.uniform(0.1, 0.4, labels.shape))
    best = np.stack([np.full(labels.shape, 0.5), malignant], axis=-1)
    blind = np.broadcast_to(np.array([0.5, 0.25, 0.25]), (60, 2, 3))

    pin = fit_pin(DETECTOR, blind, list(best), labels, np.array(HEIGHTS))

    assert pin.malignant_with_sectors.candidates > 1
    joined = answers(pin, blind, list(best))
    share = joined[..., 2] / joined[..., 1:].sum(axis=-1)
    assert share[labels == 2].min() > 0.5 > share[labels == 1].max()


def test_a_release_of_before_keeps_its_slices_share_of_malignant_nodules():
    assert (PIN.malignant_with_sectors, PIN.joins_malignancy, PIN.key) == (None, False, "ab")
    np.testing.assert_allclose(answer_for_series(PIN, OWN, BEST), join_slices(OWN, BEST[:, 0], PIN.with_sectors))


def test_without_any_candidates_there_is_nothing_to_fit():
    assert fit_pin(DETECTOR, OWN[None], [None], np.zeros((1, 2), int), np.array(HEIGHTS)) is None
