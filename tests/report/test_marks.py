"""Readers' marks: what is kept, what counts, what is refused."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from lidcflow.errors import FeedbackRefused, StoreError
from lidcflow.report.marks import FILE, MarkKind, about_recommendation, add_mark, marks_in_force, read_feedback

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.fixture
def say(study, tmp_path):
    """Keep what a reader says of a study with the ranges 3 to 5 and 7; give the history."""

    def keep(says, first, last, reader="R1", **changes):
        said = {"reader": reader, "says": says, "first_slice": first, "last_slice": last}
        saying = MarkKind(**{**said, "version": 3, "volume_digest": "ab" * 32, **changes})
        return add_mark(tmp_path, study(), saying, NOON)

    return keep


def said(marks):
    return [(mark.reader, mark.says, mark.first_slice) for mark in marks]


def test_marks_are_appended_with_time_and_reading(say, tmp_path):
    say("right", 3, 5)
    say("nodule", 1, 1)

    kept = json.loads((tmp_path / FILE).read_text())
    assert [mark["number"] for mark in kept["marks"]] == [1, 2]
    assert kept["marks"][1] == {
        "number": 2,
        "time": "2026-01-02T12:00:00Z",
        "reader": "R1",
        "says": "nodule",
        "first_slice": 1,
        "last_slice": 1,
        "in_range": False,
        "undoes": None,
        "release": "lidcflow",
        "version": 3,
        "verdict": "ranges",
        "volume_digest": "ab" * 32,
    }
    assert (kept["schema_id"], kept["statement"]) == ("lidcflow.feedback/1", "Research use only, not for diagnosis.")


def test_what_is_said_again_replaces_and_what_is_undone_is_gone(say):
    say("right", 3, 5)
    say("wrong", 3, 5)
    say("right", 3, 5, reader="R2")
    say("benign", 7, 7)
    marks = say("undone", 7, 7, undoes=4)

    assert len(marks) == 5
    assert said(marks_in_force(marks)) == [("R1", "wrong", 3), ("R2", "right", 3)]


def test_a_range_of_one_slice_can_be_judged_and_named_too(say):
    say("right", 7, 7)
    marks = say("malignant", 7, 7)

    assert said(marks_in_force(marks)) == [("R1", "right", 7), ("R1", "malignant", 7)]
    assert marks[1].in_range


@pytest.mark.parametrize(
    ("says", "slices", "changes", "sentence"),
    [
        ("right", (3, 4), {}, "must be about a recommended range, got slices"),
        ("nodule", (9, 9), {}, "must be one of 8, got slices"),
        ("nodule", (1, 2), {}, "must be one of 8, got slices"),
        ("right", (3, 5), {"version": 2}, "must be about the reading in force"),
        ("right", (3, 5), {"volume_digest": "cd"}, "must be about the reading in force"),
        ("right", (3, 5), {"undoes": 1}, "only an undone mark may name another"),
        ("undone", (3, 5), {"undoes": 1, "reader": "R2"}, "only a reader's own mark"),
        ("undone", (3, 5), {}, "only a reader's own mark"),
    ],
)
def test_what_does_not_fit_the_reading_is_refused(say, says, slices, changes, sentence):
    say("right", 3, 5)

    with pytest.raises(FeedbackRefused, match=sentence):
        say(says, *slices, **changes)


def test_a_mark_can_be_undone_once(say):
    say("right", 3, 5)
    say("undone", 3, 5, undoes=1)

    with pytest.raises(FeedbackRefused, match="own mark that counts"):
        say("undone", 3, 5, undoes=1)


@pytest.mark.parametrize("reader", ["Lovelace", "r1", "R", "1", "R1 ", "ADA1", "R1234", ""])
def test_a_reader_is_a_short_code_and_no_name(say, reader):
    with pytest.raises(ValidationError):
        say("right", 3, 5, reader=reader)


def test_marks_on_an_earlier_reading_do_not_count_for_the_next(say, study):
    marks = say("right", 3, 5)
    later = study()
    later = later.model_copy(update={"release": later.release.model_copy(update={"version": 4})})

    assert about_recommendation(marks, study()) == list(marks)
    assert about_recommendation(marks, later) == []


def test_many_readers_at_once_lose_no_mark(say, tmp_path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: say("right", 3, 5, reader=f"R{number}"), range(40)))

    marks = read_feedback(tmp_path)
    assert [mark.number for mark in marks] == list(range(1, 41))
    assert len({mark.reader for mark in marks}) == 40


def test_a_damaged_history_is_never_written_over(say, tmp_path):
    (tmp_path / FILE).write_text("{")

    with pytest.raises(StoreError, match="nothing is written over it"):
        say("right", 3, 5)

    assert read_feedback(tmp_path) == ()
    assert (tmp_path / FILE).read_text() == "{"
