import numpy as np
import pytest

from lidcflow.learn.nodule_calibration import (
    MOST_FINDINGS,
    ScoredSeries,
    fit_calibration,
    left_out_probabilities,
    nodule_ranks,
    probabilities,
    score_series,
)
from lidcflow.learn.nodule_candidates import BESIDE, OTHER, CandidateImages
from lidcflow.nodules.candidates import CANDIDATE, Candidates


def found(nodule, readers, score=None):
    n = len(nodule)
    table = np.zeros(n, CANDIDATE)
    table["score"] = np.linspace(2, 0.1, n) if score is None else score
    images = np.zeros((n, 6, 72, 72), np.uint8)
    return CandidateImages(
        "1.2", Candidates(table, np.zeros((n, 3))), np.array(nodule), np.array(readers), images, (0.7, 0.7)
    )


def series(seed=0, n=40):
    rng = np.random.default_rng(seed)
    nodule = np.full(n, OTHER, np.int8)
    nodule[3] = 0
    logits = rng.normal(-3, 1, (n, 3)).astype(np.float32)
    logits[3] = 4
    return ScoredSeries(found(nodule, [4]), logits)


def test_a_nodule_found_twice_has_one_rank():
    candidates = found([0, OTHER, 0, 1], [4, 3])

    assert nodule_ranks(candidates, np.array([0.9, 0.5, 0.8, 0.1])) == [(4, 1), (3, 3)]


def test_a_nodule_without_a_candidate_has_no_rank():
    assert nodule_ranks(found([OTHER], [2]), np.array([0.5])) == [(2, None)]


def test_readers_of_a_candidate_are_those_of_its_nodule():
    assert found([1, OTHER, BESIDE], [4, 2]).readers.tolist() == [2, 0, -1]


def test_the_calibration_makes_the_nodule_most_probable():
    one = series()

    probability = probabilities(one, fit_calibration([one, series(1)]))

    assert probability.argmax() == 3
    assert probability.max() > 0.5 > np.delete(probability, 3).max()


def test_the_threshold_leaves_every_series_with_few_findings():
    both = [series(), series(1)]

    calibration = fit_calibration(both)

    for one in both:
        assert (probabilities(one, calibration) >= calibration.threshold).sum() <= MOST_FINDINGS


def test_candidates_of_few_readers_have_no_say():
    one = series()
    doubtful = ScoredSeries(found([*one.found.nodule[:-1], 1], [4, 1]), one.logits)
    left_out = ScoredSeries(found([*one.found.nodule[:-1], BESIDE], [4]), one.logits)

    assert fit_calibration([doubtful]) == fit_calibration([left_out])


def test_a_series_is_calibrated_on_the_others():
    both = [series(), series(1)]

    first, _ = left_out_probabilities(both)

    np.testing.assert_array_equal(first, probabilities(both[0], fit_calibration(both[1:])))


def test_planes_are_scored_in_their_order():
    candidates = found([OTHER, OTHER], [])
    candidates.images[:] = np.arange(12, dtype=np.uint8).reshape(2, 6, 1, 1)

    scored = score_series(candidates, [lambda grey: grey.mean(axis=(1, 2))])

    assert scored.logits.tolist() == [[0, 1, 2], [6, 7, 8]]
    assert scored.score == pytest.approx([2, 0.1])
