"""A whole check: what drifts is told, what does not is not, few patients tell nothing."""

from dataclasses import replace

import numpy as np

from lidcflow.config import DriftConfig
from lidcflow.drift.check import check_drift
from tests.drift.checks import HOSTILE, NOTHING, NOW
from tests.drift.profiles import profile, recent


def test_patients_like_those_of_training_raise_no_alarm(check):
    found = check(recent(np.random.default_rng(1)))

    assert (found.verdict, found.alarms) == ("steady", ())
    assert found.sentence == (
        "30 patients read in the last 30 days beside those that lidcflow version 3 was made on: nothing drifted."
    )


def test_what_drifted_is_told_and_nothing_else(drifted):
    assert drifted.verdict == "drift"
    assert [one.key for one in drifted.alarms] == ["slice_spacing_mm", "manufacturer", "score-02", "above", "verdict"]
    by_key = {one.key: one for one in drifted.quantities}
    assert by_key["manufacturer"].unseen == (HOSTILE,)
    assert by_key["slice_spacing_mm"].now.summary == "5 (5 to 5)"
    assert "5 of 16 quantities drifted: slice spacing, mm; manufacturer; P(nodule), sector 2;" in drifted.sentence


def test_findings_that_are_called_malignant_more_often_are_told(check):
    alike = recent(np.random.default_rng(1))

    found = check(replace(alike, malignant=np.sqrt(alike.malignant)))

    assert [one.key for one in found.alarms] == ["malignant"]
    assert "highest P(malignant) of a slice" in found.sentence


def test_a_profile_of_before_is_compared_without_malignancy(release_record):
    rng = np.random.default_rng(0)
    known = profile(release_record, rng).model_copy(update={"malignant": None})

    found = check_drift(release_record, known, recent(rng), DriftConfig(), NOW)

    assert "malignant" not in {one.key for one in found.quantities}


def test_few_patients_tell_nothing_and_none_tell_that_there_were_none(check):
    few, none = check(recent(np.random.default_rng(1), patients=19)), check(NOTHING)

    assert (few.verdict, none.verdict) == ("too few", "too few")
    assert all(one.distance is None for one in (*few.quantities, *none.quantities))
    assert "19 patients were read in the last 30 days: 20 are needed" in few.sentence
    assert none.quantities[0].now.summary == "none"


def test_checks_of_one_population_alarm_as_rarely_as_promised(release_record):
    alarms = 0

    for seed in range(25):
        rng = np.random.default_rng(seed)
        known, lately = profile(release_record, rng, patients=40), recent(rng, patients=20)
        alarms += bool(check_drift(release_record, known, lately, DriftConfig(false_alarms=0.2), NOW).alarms)

    assert alarms <= 5 + 3 * np.sqrt(25 * 0.2 * 0.8)


def test_a_quantity_that_no_header_tells_is_not_compared(check):
    found = check(recent(np.random.default_rng(1), kvp=None))

    by_key = {one.key: one for one in found.quantities}
    assert (by_key["kvp"].verdict, by_key["kvp"].now.patients) == ("too few", 0)
    assert by_key["contrast"].now.summary == "not told 100%"
