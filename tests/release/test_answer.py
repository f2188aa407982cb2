"""What a release answers for slices: sector models joined with candidates, or what stands in for them."""

import numpy as np
import pytest

from lidcflow.nodules.join_weights import JoinWeights
from lidcflow.nodules.slice_scores import join_slices
from lidcflow.release.answer import UnlikeTraining, answer_for_series, answers, findings_alone, fit_pin
from lidcflow.release.record import DetectorPin, NodulePin

OWN = np.array([[0.9, 0.05, 0.05], [0.5, 0.25, 0.25]])
HEIGHTS = ((0.8, 0.1, 0.1), (0.6, 0.2, 0.2))
BEST = np.array([0.01, 0.7])
DETECTOR = DetectorPin(detector="embedded", version=1, sha256="ab", threshold=0.5)
PIN = NodulePin(
    **DETECTOR.model_dump(),
    with_sectors=JoinWeights(bias=0.5, slices=1, candidates=1),
    with_height=JoinWeights(bias=1, slices=0.5, candidates=1),
    chest_height=HEIGHTS,
)


def test_sector_models_are_joined_with_the_best_candidates():
    np.testing.assert_allclose(answer_for_series(PIN, OWN, BEST), join_slices(OWN, BEST, PIN.with_sectors))


def test_the_height_stands_in_where_there_are_no_sector_models():
    by_height = join_slices(np.array(HEIGHTS), BEST, PIN.with_height)

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

    pin = fit_pin(DETECTOR, blind, [*said[:29], None], labels, np.array(HEIGHTS))

    joined = answers(pin, blind, list(said))
    assert (pin.sha256, pin.chest_height) == ("ab", HEIGHTS)
    assert pin.with_sectors.candidates > 1
    assert joined[labels > 0, 1:].sum(axis=1).min() > joined[labels == 0, 1:].sum(axis=1).max()


def test_without_any_candidates_there_is_nothing_to_fit():
    assert fit_pin(DETECTOR, OWN[None], [None], np.zeros((1, 2), int), np.array(HEIGHTS)) is None
