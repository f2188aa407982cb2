"""Probabilities of sector models on a series that is unlike all of their training."""

import numpy as np
import pytest

from lidcflow.nodules.join_weights import JoinWeights
from lidcflow.release.pins import EMBEDDED, NodulePin
from lidcflow.report.recommendation import SeriesWarning
from lidcflow.stats.widening import widen
from tasks.findings import SliceScores
from tasks.sector_scores import widen_scores

SURE = np.array([[0.0, 0.1, 0.9], [1.0, 0.0, 0.0]])
HU = SeriesWarning(code="unlike-training-hu", sentence="")
SHARES = (6 / 11, 3 / 11, 2 / 11)
"""Of the release's 5, 2 and 1 validation slices, and one more of each."""


def test_probabilities_of_a_series_like_training_stay(release_record):
    scores = SliceScores(SURE, ())

    assert widen_scores(release_record, scores, 1.0) is scores


def test_further_from_training_they_are_drawn_towards_the_natural_shares_and_the_answer_tells(release_record):
    read = widen_scores(release_record, SliceScores(SURE, (HU,)), 20.0)

    np.testing.assert_allclose(read.probabilities, widen(SURE, SHARES, 20.0))
    assert read.probabilities[:, 1:].sum(axis=1).max() < 0.75
    assert [one.code for one in read.warnings] == ["unlike-training-hu", "probabilities-widened"]
    assert "It is 20.0 times as far from the training series" in read.warnings[-1].sentence


@pytest.mark.parametrize("ratios", [(2.0, 4.0, 8.0, 100.0)])
def test_the_further_the_less_is_said(release_record, ratios):
    highest = [widen_scores(release_record, SliceScores(SURE, ()), ratio).probabilities[0, 2] for ratio in ratios]

    assert highest == sorted(highest, reverse=True)


def test_a_release_that_reads_candidates_leaves_such_probabilities_out_later(release_record):
    joined = JoinWeights(bias=0, slices=1, candidates=1)
    pin = NodulePin(
        detector=EMBEDDED,
        version=1,
        sha256="ab",
        threshold=0.5,
        with_sectors=joined,
        with_height=joined,
        chest_height=((0.9, 0.05, 0.05),) * 2,
    )
    scores = SliceScores(SURE, (HU,))

    assert widen_scores(release_record.model_copy(update={"nodules": pin}), scores, 20.0) is scores
