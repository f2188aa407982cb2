"""Candidates with P(nodule), without their patches."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from lidcflow.nodules.candidates import NO_LUNGS
from lidcflow.nodules.cubes import Cubes
from lidcflow.nodules.scored import score_candidates
from lidcflow.nodules.slice_scores import NOTHING_FOUND
from lidcflow.nodules.stored import FAILED, TOO_FEW_SLICES, StoredCandidates, cut_none
from lidcflow.nodules.table import CANDIDATE


def stored(*flags):
    table = np.zeros(1, CANDIDATE)
    table["z_mm"], table["row"], table["column"], table["diameter_mm"], table["score"] = 15, 3, 4, 6, 0.75
    return StoredCandidates(table, cut_none(), ("1.2.3",), flags)


DETECTOR = SimpleNamespace(probabilities=lambda _, score: np.asarray(score, np.float64))


def test_places_and_probabilities_are_kept():
    scored = score_candidates(stored(), DETECTOR)

    assert scored.places.tolist() == [(15.0, 3.0, 4.0, 6.0)]
    assert scored.probability.tolist() == [0.75]


def test_the_best_candidate_of_each_slice_is_known():
    scored = score_candidates(stored(), DETECTOR)

    found = scored.in_slices(np.array([30.0, 20, 10, 0]))
    assert found[:, 0].tolist() == [NOTHING_FOUND, 0.75, NOTHING_FOUND]
    assert np.isnan(found[:, 1]).all()


@pytest.mark.parametrize(("threshold", "expected"), [(0.5, 0.25), (0.8, None)])
def test_findings_have_malignancy_by_their_cube(threshold, expected):
    cubes = Cubes(np.zeros((1, 48, 48, 48), np.int16), np.array([0]), np.array([0.75]))
    system = SimpleNamespace(answer=lambda _cube, mm, _outline, _size: SimpleNamespace(probability=mm / 3))

    scored = score_candidates(replace(stored(), cubes=cubes), DETECTOR, system, threshold)

    malignant = scored.in_slices(np.array([30.0, 20, 10, 0]))[:, 1]
    assert np.isnan(malignant[[0, 2]]).all()
    assert np.isnan(malignant[1]) if expected is None else malignant[1] == expected


@pytest.mark.parametrize("flag", [NO_LUNGS, TOO_FEW_SLICES, FAILED])
def test_a_series_that_could_not_be_searched_says_so(flag):
    assert not stored(flag).searched
    assert stored("candidates-cut").searched


def test_what_this_very_detector_said_before_is_taken_from_the_store():
    scored = replace(stored(), scored={"sha256": "ab", "probability": [0.5]})

    def detector(sha256):
        return SimpleNamespace(sha256=sha256, probabilities=DETECTOR.probabilities)

    assert score_candidates(scored, detector("ab")).probability.tolist() == [0.5]
    assert score_candidates(scored, detector("cd")).probability.tolist() == [0.75]
