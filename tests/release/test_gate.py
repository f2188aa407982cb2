"""The gate before the champion."""

from dataclasses import replace

import numpy as np
import pytest

from lidcflow.config import Config, GateConfig, LabelConfig, PreprocessConfig, SplitConfig
from lidcflow.nodules.finding_figures import MISSED, FindingDraws, SeriesMarks
from lidcflow.release.gate import judge_release, why_not_comparable
from lidcflow.release.gate_rows import check_rows
from lidcflow.release.rules import Candidate, Champion, system_kept
from lidcflow.stats.bootstrap import draw_patients
from lidcflow.stats.estimate import Estimate
from lidcflow.stats.paired import Sample

SLICES = 8


def studies(patients):
    """Each with one benign nodule slice, in the upper half for every other patient."""
    labels = np.zeros((patients, SLICES), dtype=np.int8)
    labels[np.arange(patients), np.where(np.arange(patients) % 2, 6, 1)] = 1
    return Sample.of([f"{number:03d}" for number in range(patients)], labels, seed=0, resamples=200)


def probabilities(sample, missed=0, nodule=0.97):
    """Of a release that is sure of every nodule slice except those of the first few patients."""
    p = np.where(sample.labels > 0, nodule, 0.02)
    p[:missed] = np.where(sample.labels[:missed] > 0, 0.01, 0.02)
    return np.stack([1 - p, p, np.zeros_like(p)], axis=-1) * 0.999 + 0.001 / 3


def candidate(patients=20, missed=0, nodule=0.97):
    sample = studies(patients)
    p = probabilities(sample, missed, nodule)
    sectors = {1: range(0, 4), 2: range(4, 8)}
    return Candidate(sample, sample, p, probabilities(sample), np.full((SLICES, 3), [0.8, 0.1, 0.1]), sectors)


def champion(release, missed, version=4):
    return Champion(version=version, probabilities=probabilities(release.validation, missed))


def outcomes(gate, figure):
    return [check.passed for check in gate.checks if check.figure == figure]


def test_a_first_release_that_beats_the_sector_prior_passes():
    gate = judge_release(candidate(), [], GateConfig())

    assert gate.passed
    assert gate.compared_with == "sector prior"
    assert gate.reason.startswith("better than the sector prior on the same 20 validation patients: slice AUROC +0.500")


def test_a_release_no_better_than_the_sector_prior_is_refused_by_each_rule_it_breaks():
    release = candidate(nodule=0.02)

    gate = judge_release(release, [], GateConfig())

    assert not gate.passed
    assert "validation slice AUROC must exceed the sector prior's, got +0.000" in gate.reason


def test_a_release_as_good_as_the_champion_passes_however_few_the_patients():
    release = candidate(patients=3)

    gate = judge_release(release, [champion(release, missed=0)], GateConfig())

    assert gate.passed
    assert gate.reason.startswith("no worse than version 4 on the same 3 validation patients: slice AUROC +0.000")


def test_a_loss_within_the_margin_passes_only_once_many_patients_show_it_to_be_no_more():
    few, many = candidate(patients=20, missed=1), candidate(patients=400, missed=1)
    settings = GateConfig(auroc_margin=0.01, log_loss_margin=5.0)

    of_few, of_many = (judge_release(release, [champion(release, missed=0)], settings) for release in (few, many))

    assert outcomes(of_few, "auroc") == [True, False]
    assert outcomes(of_many, "auroc") == [True, True]
    assert of_many.passed
    lost = next(check for check in of_many.checks if check.against == "version 4" and check.figure == "auroc")
    assert -0.01 <= lost.value.low <= lost.value.value < 0


def test_a_release_that_is_clearly_worse_than_the_champion_is_refused_with_figures():
    release = candidate(patients=60, missed=30)

    gate = judge_release(release, [champion(release, missed=0)], GateConfig())

    assert not gate.passed
    assert gate.compared_with == "version 4"
    assert (
        "validation slice AUROC must be no lower than version 4's, or shown to be lower by at most 0.01, got -0."
        in (gate.reason)
    )


def test_small_losses_cannot_add_up_past_the_best_earlier_champion():
    release = candidate(patients=60, missed=12)
    last, best = champion(release, missed=12, version=5), champion(release, missed=0, version=2)

    against_last, against_both = (
        judge_release(release, opponents, GateConfig()) for opponents in ([last], [last, best])
    )

    assert against_last.passed
    assert not against_both.passed
    assert against_both.compared_with == "version 5 and version 2"
    assert "version 2's" in against_both.reason


def test_every_check_names_its_figure_its_opponent_its_sector_and_its_limit():
    release = candidate(patients=40)
    limits = {"auroc_margin": 0.02, "log_loss_margin": 0.03, "calibration_error": 0.25, "sector_auroc": 0.6}

    gate = judge_release(release, [champion(release, missed=0)], GateConfig(**limits, sector_margin=0.04))

    assert [(check.figure, check.against, check.sector, check.limit) for check in gate.checks] == [
        ("auroc", "sector prior", None, 0.0),
        ("log_loss", "sector prior", None, 0.0),
        ("auroc", "version 4", None, -0.02),
        ("log_loss", "version 4", None, 0.03),
        ("calibration_error", "", None, 0.25),
        ("sector_auroc", "", 1, 0.6),
        ("sector_auroc", "", 2, 0.6),
        ("sector_auroc", "version 4", 1, -0.04),
        ("sector_auroc", "version 4", 2, -0.04),
    ]
    assert [check.value.value for check in gate.checks if check.against == "version 4"] == [0, 0, 0, 0]
    assert {check.passed for check in gate.checks} == {True}


def test_a_release_that_says_what_the_sector_prior_says_is_not_better():
    release = candidate()
    same = Candidate(**{**vars(release), "on_validation": release.prior_on_validation})

    gate = judge_release(same, [], GateConfig())

    assert same.prior_on_validation.shape == (20, SLICES, 3)
    assert (outcomes(gate, "auroc"), outcomes(gate, "log_loss")) == ([False], [False])
    assert "; validation log loss must be below the sector prior's, got +0.0%" in gate.reason


def test_what_ranks_as_the_prior_does_with_worse_probabilities_breaks_both_rules():
    gate = judge_release(candidate(nodule=0.02), [], GateConfig())

    assert (outcomes(gate, "auroc"), outcomes(gate, "log_loss")) == ([False], [False])


def test_as_good_in_the_sample_is_enough_however_wide_the_interval():
    release, settings = candidate(patients=30, missed=4), GateConfig(auroc_margin=0, log_loss_margin=0)
    # As many nodules of the same slices are missed, but of other patients.
    theirs = np.roll(release.on_validation, 6, axis=0)

    gate = judge_release(release, [Champion(version=4, probabilities=theirs)], settings)

    auroc, loss = (
        next(c for c in gate.checks if (c.figure, c.against) == (figure, "version 4"))
        for figure in ("auroc", "log_loss")
    )
    assert (auroc.value.value, auroc.passed, loss.passed) == (0, True, True)
    assert auroc.value.low < 0 < loss.value.high


def test_a_release_with_worse_probabilities_than_the_champion_is_refused():
    release = candidate(patients=60, missed=8)

    gate = judge_release(release, [champion(release, missed=0)], GateConfig())

    assert (outcomes(gate, "auroc"), outcomes(gate, "log_loss")) == ([True, False], [True, False])


def test_less_certain_probabilities_are_refused_where_slices_rank_alike():
    release = candidate(patients=20, nodule=0.9)

    gate = judge_release(release, [champion(release, missed=0)], GateConfig())

    loss = next(c for c in gate.checks if (c.figure, c.against) == ("log_loss", "version 4"))
    assert 0.02 < loss.value.value < 1
    assert (outcomes(gate, "auroc"), loss.passed) == ([True, True], False)


def test_ten_patients_are_enough_for_a_floor():
    gate = judge_release(candidate(patients=10), [], GateConfig(patients=10))

    assert outcomes(gate, "calibration_error") == [True]


def test_a_release_passes_with_its_differences_from_each_champion():
    release = candidate(patients=3)
    both = [champion(release, missed=0, version=5), champion(release, missed=0, version=2)]

    gate = judge_release(release, both, GateConfig())

    same = "slice AUROC +0.000 (+0.000 to +0.000), log loss +0.0% (+0.0% to +0.0%)"
    assert gate.reason == (f"no worse than version 5 and version 2 on the same 3 validation patients: {same}; {same}")


def test_a_champion_that_cannot_be_compared_stays():
    stranger = Champion(version=4, probabilities=None, why_not="version 4 reads volumes of another preprocessing")

    gate = judge_release(candidate(), [stranger], GateConfig())

    assert (gate.passed, gate.reason) == (False, "version 4 reads volumes of another preprocessing")
    assert [check.against for check in gate.checks if check.figure == "comparable"] == ["version 4"]


def test_probabilities_that_are_clearly_off_on_the_test_patients_are_refused():
    release = candidate(patients=40)
    off = np.full_like(release.on_test, [0.4, 0.6, 0.0])

    gate = judge_release(Candidate(**{**vars(release), "on_test": off}), [], GateConfig())

    assert gate.reason.startswith("test calibration error of P(nodule) must not be clearly above 0.05, got 0.475")


def test_a_sector_clearly_below_its_floor_or_below_the_champion_is_refused():
    release = candidate(patients=60)
    p = release.on_validation.copy()
    p[:, 4:] = np.roll(p[:, 4:], 1, axis=1)
    broken = Candidate(**{**vars(release), "on_validation": p})

    gate = judge_release(broken, [champion(release, missed=0)], GateConfig())

    refused = {(check.sector, check.against) for check in gate.checks if check.sector and check.passed is False}
    assert refused == {(2, ""), (2, "version 4")}
    assert "slice AUROC in sector 2 must not be clearly below 0.55, got 0." in gate.reason


def test_floors_that_too_few_patients_could_tell_are_not_judged_and_told():
    release = candidate(patients=9)

    gate = judge_release(release, [], GateConfig())

    assert gate.passed
    assert outcomes(gate, "calibration_error") + outcomes(gate, "sector_auroc") == [None, None, None]
    assert check_rows(gate.checks)[-1] == (
        "slice AUROC in sectors 1, 2",
        "validation",
        "-",
        "not judged: fewer than 10 patients with a nodule there",
    )


def test_the_same_inputs_are_judged_alike():
    first, again = (
        judge_release(candidate(missed=3), [champion(candidate(), missed=2)], GateConfig()) for _ in range(2)
    )

    assert first == again


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"preprocess": PreprocessConfig(slices=8, size=64)}, "the same preprocessing"),
        ({"labels": LabelConfig(min_readers=2)}, "the same labels"),
        ({"split": SplitConfig(seed=7)}, "the same split of patients"),
    ],
)
def test_a_champion_measured_otherwise_is_not_compared(release_record, changed, why):
    config = Config(preprocess=release_record.preprocess, train=release_record.train).model_copy(update=changed)

    sentence = why_not_comparable(release_record, config, "new snapshot", release_record.backbone.id, synthetic=True)

    assert sentence == (
        f"a release must have {why} to be compared with version 3; "
        "judge it by hand, then `lidcflow promote VERSION --force --reason ...`"
    )


@pytest.mark.parametrize(
    ("snapshot", "backbone", "comparable"),
    [("new", "compact-ab", True), ("cd", "resnet50-ef", True), ("new", "resnet50-ef", False)],
)
def test_a_champion_is_compared_where_its_features_or_its_figures_are_at_hand(
    release_record, snapshot, backbone, comparable
):
    config = Config(preprocess=release_record.preprocess, train=release_record.train)

    sentence = why_not_comparable(release_record, config, snapshot, backbone, synthetic=True)

    assert (sentence == "") is comparable
    assert comparable or sentence.startswith("a release must have the same backbone or the same snapshot to be ")


def test_a_release_of_synthetic_series_does_not_replace_one_of_patients(release_record):
    champion = release_record.model_copy(update={"synthetic": False})
    config = Config(preprocess=champion.preprocess, train=champion.train)

    sentence = why_not_comparable(champion, config, "new", champion.backbone.id, synthetic=True)

    assert sentence.startswith("a release must have series of patients, not synthetic ones, as the champion's to be ")
    assert not why_not_comparable(release_record, config, "new", champion.backbone.id, synthetic=False)


def findings(patients, found, resamples=200):
    """Of one nodule a patient, found in so many of them, with one false finding each."""
    marks = [
        SeriesMarks(np.array([0.3]), np.array([0.9 if k < found else MISSED]), np.array([True]))
        for k in range(patients)
    ]
    return FindingDraws(marks, np.arange(patients), draw_patients(patients, seed=0, resamples=resamples))


@pytest.mark.parametrize(("found", "passed"), [(20, True), (9, True), (2, False)])
def test_findings_that_clearly_miss_too_many_nodules_are_refused(found, passed):
    release = replace(candidate(), findings=findings(20, found))

    gate = judge_release(release, [], GateConfig())

    assert outcomes(gate, "findings") == [passed]
    assert gate.passed is passed


def test_findings_are_not_judged_where_few_patients_have_a_nodule():
    release = replace(candidate(patients=9), findings=findings(9, 0))

    gate = judge_release(release, [], GateConfig())

    assert outcomes(gate, "findings") == [None]
    assert gate.passed


@pytest.mark.parametrize(("found", "passed"), [(20, True), (17, True), (12, False)])
def test_findings_must_not_be_clearly_worse_than_the_champions(found, passed):
    release = replace(candidate(), findings=findings(20, found))
    before = replace(champion(release, missed=0), findings=findings(20, 20))

    gate = judge_release(release, [before], GateConfig())

    assert outcomes(gate, "cpm") == [passed]


def test_checks_of_findings_name_their_opponent_and_their_limits():
    release = replace(candidate(), findings=findings(20, 20))
    before = replace(champion(release, missed=0), findings=findings(20, 20))

    gate = judge_release(release, [before], GateConfig(findings_sensitivity=0.4, findings_margin=0.07))

    told = [(check.figure, check.against, check.limit) for check in gate.checks if check.figure in ("findings", "cpm")]
    assert told == [("findings", "", 0.4), ("cpm", "version 4", -0.07)]


def test_a_champion_without_findings_is_compared_by_slices_alone():
    release = replace(candidate(), findings=findings(20, 20))

    gate = judge_release(release, [champion(release, missed=0)], GateConfig())

    assert outcomes(gate, "cpm") == []
    assert gate.passed


@pytest.mark.parametrize(
    ("kind", "figure", "told", "margin"),
    [
        ("segmenter", "dice", "Dice of outlines of nodules", 0.03),
        ("malignancy", "malignancy", "AUROC of P(malignant) of nodules", 0.06),
    ],
)
def test_a_system_is_refused_where_it_is_clearly_worse_than_the_champions_by_its_own_margin(kind, figure, told, margin):
    settings = GateConfig(outline_margin=0.03, malignancy_margin=0.06, patients=10)
    worse, alike = Estimate(value=-0.2, low=-0.3, high=-0.1), Estimate(value=-0.01, low=-0.3, high=0.01)

    refused, kept, of_few = (
        system_kept(kind, difference, patients, "version 4", settings)
        for difference, patients in ((worse, 10), (alike, 10), (worse, 9))
    )

    assert (refused.passed, kept.passed, of_few.passed) == (False, True, None)
    assert refused.rule == f"{told} must not be below version 4's by clearly more than {margin:g}"
    assert (refused.figure, refused.against, refused.patients) == (figure, "version 4", 10)
    assert (refused.value, refused.limit) == (worse, -margin)
