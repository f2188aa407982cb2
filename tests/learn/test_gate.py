"""The gate before the champion."""

import pytest

from lidcflow.config import Config, LabelConfig, PreprocessConfig, SplitConfig
from lidcflow.learn.gate import Champion, judge, why_not_comparable
from lidcflow.learn.release import ClassCounts, Estimate, SplitFigures


def figures(auroc: float | None, log_loss: float | None, prior: tuple[float, float] = (0.60, 0.40)) -> SplitFigures:
    keys = ("auroc_nodule", "log_loss")
    return SplitFigures(
        patients=10,
        series=10,
        nodules=12,
        slices=ClassCounts(non_nodule=600, benign=30, malignant=20),
        release={key: Estimate(value=value) for key, value in zip(keys, (auroc, log_loss), strict=True)},
        sector_prior={key: Estimate(value=value) for key, value in zip(keys, prior, strict=True)},
        uniform={},
    )


def test_a_first_release_that_beats_the_sector_prior_passes():
    gate = judge(figures(0.80, 0.30), None)

    assert gate.passed
    assert gate.reason == (
        "better than the sector prior on validation: slice AUROC 0.800 against 0.600, log loss 0.300 against 0.400"
    )


@pytest.mark.parametrize(
    ("auroc", "log_loss", "reason"),
    [
        (0.59, 0.30, "validation slice AUROC must exceed the sector prior's, got 0.590 against 0.600"),
        (0.80, 0.41, "validation log loss must be below the sector prior's, got 0.410 against 0.400"),
        (None, 0.30, "validation slice AUROC must exceed the sector prior's, got none against 0.600"),
    ],
)
def test_a_release_no_better_than_the_sector_prior_is_refused(auroc, log_loss, reason):
    gate = judge(figures(auroc, log_loss), None)

    assert (gate.passed, gate.reason) == (False, reason)


@pytest.mark.parametrize(
    ("auroc", "log_loss", "passed"), [(0.795, 0.300, True), (0.785, 0.300, False), (0.900, 0.310, False)]
)
def test_a_later_release_may_be_worse_than_the_champion_by_a_small_margin_only(auroc, log_loss, passed):
    champion = Champion(version=4, figures=figures(0.80, 0.30))

    gate = judge(figures(auroc, log_loss), champion)

    assert gate.passed is passed
    assert gate.compared_with == "version 4"
    assert "version 4" in gate.reason


def test_a_champion_that_cannot_be_compared_stays():
    champion = Champion(version=4, figures=None, why_not="version 4 reads volumes of another preprocessing")

    gate = judge(figures(0.80, 0.30), champion)

    assert (gate.passed, gate.reason) == (False, "version 4 reads volumes of another preprocessing")


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

    assert sentence.startswith(f"a release must have {why} to be compared with version 3")


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


def test_a_release_of_synthetic_series_does_not_replace_one_of_patients(release_record):
    champion = release_record.model_copy(update={"synthetic": False})
    config = Config(preprocess=champion.preprocess, train=champion.train)

    assert "synthetic" in why_not_comparable(champion, config, "new", champion.backbone.id, synthetic=True)
    assert not why_not_comparable(release_record, config, "new", champion.backbone.id, synthetic=False)
