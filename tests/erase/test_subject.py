"""Whose data are erased."""

import pytest

from lidcflow.erase.subject import Subject, Target, covered, merged, unowned
from lidcflow.errors import ErasureError

KEY = "0123456789abcdef"


def test_a_subject_covers_what_is_known_to_be_of_it_and_nothing_else():
    of_patient = Target("1.2.3", "1.2", KEY)

    assert Subject("patient", KEY).covers(of_patient)
    assert Subject("study", "1.2").covers(of_patient)
    assert Subject("series", "1.2.3").covers(of_patient)
    assert not Subject("patient", KEY).covers(Target("1.2.3"))
    assert not Subject("study", "1.2.3").covers(of_patient)


@pytest.mark.parametrize(
    ("kind", "key"), [("patient", "Lovelace"), ("patient", KEY.upper()), ("study", "../1.2"), ("series", "")]
)
def test_a_key_that_is_not_of_its_kind_is_refused_without_being_repeated(kind, key):
    with pytest.raises(ErasureError) as refused:
        Subject(kind, key)

    assert not key or key not in str(refused.value)
    assert str(refused.value) == (
        "erase: a patient's key must be 16 hexadecimal digits, got another text; "
        "`lidcflow index SRC --json` lists keys, and --patient-id takes the PatientID itself"
        if kind == "patient"
        else f"erase: a {kind} must be named by its UID of digits and dots; check the UID"
    )


def test_what_several_places_tell_of_a_series_is_put_together():
    told = [Target("1.2.4"), Target("1.2.3", "1.2"), Target("1.2.3", None, KEY)]

    assert merged(told) == (Target("1.2.3", "1.2", KEY), Target("1.2.4"))
    assert merged([Target("1.2.3", "1.2", KEY), Target("1.2.3", "9", "f" * 16)]) == (Target("1.2.3", "1.2", KEY),)


def test_a_place_that_does_not_tell_the_patient_is_completed_by_the_others():
    known = [
        Target("1.1", "1", KEY),
        Target("1.2", "1"),
        Target("1.3", "1", "f" * 16),
        Target("2.1", None, KEY),
        Target("2.1", "2"),
        Target("2.2", "2"),
        Target("3.1", "3"),
        Target("4.1"),
    ]

    found = [target.series_instance_uid for target in covered(Subject("patient", KEY), known)]

    assert found == ["1.1", "1.2", "2.1", "2.2"]
    assert unowned(known) == ["4.1"]
    assert [target.series_instance_uid for target in covered(Subject("study", "3"), known)] == ["3.1"]


def test_a_series_that_two_patients_share_is_found_by_either():
    known = [Target("1.1", "1", KEY), Target("1.1", None, "f" * 16)]

    for key in (KEY, "f" * 16):
        assert [target.series_instance_uid for target in covered(Subject("patient", key), known)] == ["1.1"]


def test_what_stands_in_place_of_a_uid_gets_the_name_that_verdicts_give_it():
    target = Target.of("A/B C", "no study", "")

    assert target == Target.of(target.series_instance_uid)
    assert target.series_instance_uid.startswith("invalid-")


def test_a_target_keeps_what_can_be_a_uid_and_a_key():
    assert Target.of("1.2.3", "1.2", KEY) == Target("1.2.3", "1.2", KEY)
    assert Target.of("1.2.3", "", None) == Target("1.2.3", None, None)


def test_a_subject_is_called_by_its_kind_and_key():
    assert str(Subject("study", "1.2")) == "study 1.2"
