"""A whole evaluation: contestants, sectors, subgroups."""

from dataclasses import replace

import numpy as np
import pytest

from lidcflow.evaluate.measure import entries_of, measure, size_scores
from lidcflow.evaluate.record import ReleaseEvaluation
from lidcflow.nodules.finding_figures import MISSED, SeriesMarks
from tests.nodules.pins import PIN


def test_the_release_stands_beside_the_baselines_on_the_same_patients(evaluation):
    assert [one.key for one in evaluation.contestants] == [
        "release",
        "global",
        "sector_prior",
        "height_prior",
        "uniform",
        "random",
        "size_oracle",
    ]
    assert (evaluation.patients, evaluation.series, evaluation.nodules) == (5, 6, 5)
    by_key = {one.key: one for one in evaluation.contestants}
    assert by_key["sector_prior"].slices.natural["auroc_nodule"].value == 0.5
    assert by_key["height_prior"].slices.natural["auroc_nodule"].value == 0.5
    assert by_key["size_oracle"].slices.natural["auroc_nodule"].value == 1.0
    assert by_key["uniform"].slices is None
    assert by_key["random"].slices.confusion == ()


def test_diagrams_hold_every_slice_once(evaluation):
    figures = evaluation.own.slices

    assert np.array(figures.confusion).sum() == sum(one.slices for one in figures.reliability) == 48
    assert [sum(row) for row in figures.confusion] == [41, 3, 4]


def test_sectors_are_those_of_the_release_with_the_fallback_told(evaluation):
    first, second = evaluation.sectors

    assert (first.first_slice, first.last_slice, first.fallback) == (1, 4, False)
    assert (second.first_slice, second.last_slice, second.fallback) == (5, 8, True)
    assert first.slices.slices.total + second.slices.slices.total == 48


def test_the_same_evaluation_comes_out_twice(release_record, truth, answers, evaluation):
    again = measure(release_record, "test", truth, answers, resamples=50)

    assert again.model_copy(update={"created": evaluation.created}) == evaluation


def test_the_oracle_ranks_by_the_largest_nodule_in_a_slice(truth):
    assert size_scores(truth)[3].tolist() == [6.0, 0, 0, 0, 0, 0, 7.5, 0]


def test_even_steps_have_no_ranking(truth, answers):
    (uniform,) = [entry for entry in entries_of(answers, truth, seed=0) if entry.key == "uniform"]

    assert uniform.ranking is None


def test_subgroups_count_their_patients_and_small_ones_are_marked(evaluation):
    groups = {(one.of, one.name): one for one in evaluation.subgroups}

    by_a, by_b = groups["manufacturer", "A"], groups["manufacturer", "B"]
    assert (by_a.patients, by_a.series, by_a.nodules, by_a.small) == (4, 5, 4, True)
    assert (by_b.patients, by_b.nodules) == (1, 1)
    assert by_b.figures["auroc_nodule"].low is None


def test_subgroups_are_told_in_the_order_of_their_bins(evaluation):
    names = {of: [one.name for one in evaluation.subgroups if one.of == of] for of in ("nodule size", "contrast")}

    assert names["nodule size"] == ["below 6 mm", "6 to below 8 mm", "8 mm and more"]
    assert names["contrast"] == ["with", "not known"]


def test_nodules_of_a_sector_or_of_so_many_readers_have_a_sensitivity(evaluation):
    groups = {(one.of, one.name): one for one in evaluation.subgroups}

    assert groups["sector of the nodule", "sector 01"].nodules == 3
    assert groups["readers", "4 readers"].nodules == 2
    assert set(groups["readers", "1 reader"].figures) == {"sensitivity_at_5", "spared_at_95"}


@pytest.fixture
def with_findings(release_record, truth, answers):
    """The evaluation of a release whose findings find one of one nodule, and none of another."""
    marks = [SeriesMarks(np.array([0.3]), np.array(found), np.array(found) > MISSED) for found in ([0.9], [MISSED])]
    parts = {
        "sectors": answers.everywhere,
        "findings": answers.release[:, ::-1],
        "marks": [*marks, None, None, None, None],
    }
    release = release_record.model_copy(update={"nodules": PIN})
    return measure(release, "test", truth, replace(answers, **parts), resamples=50)


def test_sector_models_and_findings_alone_stand_beside_the_release_that_joins_them(with_findings):
    found = {one.key: one for one in with_findings.contestants}

    assert list(found)[:4] == ["release", "sector_models", "findings", "global"]
    assert found["sector_models"].slices.natural == found["global"].slices.natural
    assert found["findings"].slices.natural != found["release"].slices.natural


def test_findings_are_measured_on_the_studies_that_have_candidates(with_findings, evaluation):
    found = with_findings.findings

    assert (found.series, found.nodules, found.figures["cpm"].value) == (2, 2, 0.5)
    assert evaluation.findings is None
    assert ReleaseEvaluation.model_validate_json(with_findings.model_dump_json()) == with_findings
