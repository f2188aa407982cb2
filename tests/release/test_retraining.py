"""When it is time to train again: decisions on what has changed, with tables of a few rows."""

import pandas as pd
import pytest

from lidcflow.config import Config, LabelConfig, RetrainConfig, SplitConfig, TrainConfig
from lidcflow.release.pins import DetectorPin
from lidcflow.release.retraining import Changes, Failed, Newest, changed_settings, changes_between, decide
from tests.nodules.pins import PIN

FACTS = set(DetectorPin.model_fields)
RULES = RetrainConfig(new_series=3, at_least_every_days=7)


def table(**series):
    """Two slices of each series: their labels and the digest of the volume."""
    return pd.DataFrame(
        [
            {"series_instance_uid": uid, "slice": number, "label": label, "volume_digest": digest}
            for uid, (labels, digest) in series.items()
            for number, label in enumerate(labels, start=1)
        ]
    )


def newest(age_days=1.0, **changes):
    return Newest(version=4, age_days=age_days, changes=Changes(**changes))


def test_series_are_compared_by_labels_and_volumes_whatever_the_order_of_their_rows():
    before = table(a=([0, 1], "x"), b=([0, 0], "x"), c=([0, 0], "x"), d=([2, 0], "x"))
    now = table(e=([0, 0], "x"), b=([0, 1], "x"), c=([0, 0], "y"), d=([2, 0], "x"))

    changes = changes_between(before, now.sort_values("slice", ascending=False))

    assert changes == Changes(new_series=1, gone_series=1, relabelled=1, remade=1)
    assert str(changes) == "1 new labelled series, 1 series gone, 1 series relabelled, 1 series preprocessed anew"


def test_a_snapshot_is_no_other_than_itself():
    same = table(a=([0, 1], "x"))

    assert str(changes_between(same, same)) == "nothing has changed"


@pytest.mark.parametrize(
    ("found", "due", "why"),
    [
        (None, True, "there is no release yet"),
        (newest(), False, "nothing has changed since version 4"),
        (newest(age_days=400), False, "nothing has changed since version 4"),
        (newest(new_series=2), False, "it is time at 3 new series or after 7 days, and 1.0 have passed"),
        (newest(new_series=3), True, "3 new labelled series have come since version 4"),
        (newest(age_days=7, new_series=1), True, "7 days have passed since version 4"),
        (newest(age_days=7, relabelled=1), True, "1 series relabelled"),
        (newest(age_days=7, gone_series=1), True, "1 series gone"),
        (newest(age_days=6, relabelled=90), False, "90 series relabelled"),
        (newest(settings=("train.head",)), True, "settings have changed since version 4: train.head"),
        (newest(erased=("2 series were erased",)), True, "version 4 is marked: 2 series were erased"),
        (newest(age_days=8, snapshot_lost=True), True, "the old one is lost"),
    ],
)
def test_the_first_rule_that_applies_decides_and_says_why(found, due, why):
    decision = decide(RULES, found, None)

    assert decision.due is due
    assert why in decision.why


def test_a_training_that_failed_waits_a_day_unless_it_is_forced():
    just_failed, long_ago = (Failed(hours=hours, error="ReleaseError") for hours in (3.0, 24.0))

    waiting = decide(RULES, None, just_failed)

    assert not waiting.due
    assert "there is no release yet, but the same training failed 3.0 h ago with ReleaseError" in waiting.why
    assert decide(RULES, None, long_ago).due
    assert decide(RULES, None, just_failed, force=True).why == "it was asked for"


def test_settings_that_are_not_the_releases_are_named_and_those_of_one_machine_do_not_count(release_record):
    same = Config(preprocess=release_record.preprocess, train=TrainConfig(sector_num=2))
    elsewhere = same.model_copy(update={"labels": LabelConfig(source="/data/mine")})
    record = release_record.model_copy(update={"labels": elsewhere.labels.portable})
    other = {"split": SplitConfig(seed=1), "train": TrainConfig(sector_num=2, head="mlp", engine="openvino")}

    assert changed_settings(record, elsewhere, record.backbone.id) == ()
    assert changed_settings(release_record, same.model_copy(update=other), "another") == (
        "split.seed",
        "train.head",
        "the backbone's weights or engine",
    )
    assert changed_settings(record, same, record.backbone.id) == ("labels.source",)


def test_candidates_that_came_or_went_and_another_detector_are_a_change(release_record):
    config = Config(preprocess=release_record.preprocess, train=TrainConfig(sector_num=2))
    config = config.model_copy(update={"labels": release_record.labels})
    backbone, detector = release_record.backbone.id, PIN.model_copy(update={"sha256": "cd"})
    with_findings = release_record.model_copy(update={"nodules": PIN})

    assert changed_settings(release_record, config, backbone, PIN) == ("the detector of nodules",)
    assert changed_settings(with_findings, config, backbone, None) == ("the detector of nodules",)
    assert changed_settings(with_findings, config, backbone, detector) == ("the detector of nodules",)
    assert changed_settings(with_findings, config, backbone, DetectorPin(**PIN.model_dump(include=FACTS))) == ()


def test_a_detector_of_ones_own_is_no_change_while_candidates_are_there(release_record):
    config = Config(preprocess=release_record.preprocess, train=release_record.train)
    own = PIN.model_copy(update={"detector": "lidcflow.nodules.detector", "sha256": "ef"})
    with_own = release_record.model_copy(update={"nodules": own})
    backbone = release_record.backbone.id

    assert changed_settings(with_own, config, backbone, PIN) == ()
    assert changed_settings(with_own, config, backbone, None) == ("the detector of nodules",)
