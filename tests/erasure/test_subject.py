"""Whose data are erased."""

import pytest

from lidcflow.erasure.subject import Subject, Target, merged
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


def test_what_several_places_tell_of_a_series_is_put_together():
    told = [Target("1.2.4"), Target("1.2.3", "1.2"), Target("1.2.3", None, KEY)]

    assert merged(told) == (Target("1.2.3", "1.2", KEY), Target("1.2.4"))
