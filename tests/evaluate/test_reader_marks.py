"""Figures of readers' marks, small enough to count by hand."""

from datetime import UTC, datetime

import pytest

from lidcflow.evaluate.page import render_evaluation
from lidcflow.evaluate.reader_marks import feedback_figures
from lidcflow.report.marks import Mark


@pytest.fixture
def history():
    """Make the marks of a series from (reader, says, first slice, last slice, in a range)."""

    def make(*said, verdict="ranges"):
        of = {"release": "lidcflow", "version": 3, "verdict": verdict, "volume_digest": "ab"}
        names = ("reader", "says", "first_slice", "last_slice", "in_range")
        time = datetime(2026, 1, 2, tzinfo=UTC)
        return [
            Mark(number=n, time=time, **of, **dict(zip(names, one, strict=True))) for n, one in enumerate(said, start=1)
        ]

    return make


@pytest.fixture
def figures(history):
    """Three series of two studies: three ranges right, one wrong, one divided; three slices missed, one confirmed."""
    histories = {
        "1.1": history(
            ("R1", "right", 3, 5, True),
            ("R1", "right", 9, 9, True),
            ("R2", "wrong", 9, 9, True),
            ("R1", "wrong", 20, 21, True),
            ("R1", "nodule", 4, 4, True),
        ),
        "1.2": history(("R1", "right", 1, 2, True), ("R2", "right", 1, 2, True), ("R2", "right", 5, 6, True)),
        "2.1": history(
            ("R1", "benign", 7, 7, False),
            ("R1", "nodule", 8, 8, False),
            ("R2", "malignant", 8, 8, False),
            ("R1", "nodule", 30, 30, False),
            verdict="nothing-above-threshold",
        ),
    }
    studies = {"1.1": "1", "1.2": "1", "2.1": "2"}
    return feedback_figures(histories, studies, {"ranges": 10, "nothing-above-threshold": 4, "not-evaluated": 1})


def test_ranges_count_once_by_the_majority_of_their_readers(figures):
    everything, ranges, _ = figures.groups

    assert figures.readers == 2
    assert (ranges.right, ranges.wrong, ranges.divided) == (3, 1, 1)
    assert ranges.share_right.value == everything.share_right.value == 0.75


def test_added_slices_are_missed_where_no_range_had_them(figures):
    everything, ranges, nothing = figures.groups

    assert (nothing.missed_slices, nothing.missed_runs, nothing.missed_readings) == (3, 2, 1)
    assert (ranges.missed_slices, ranges.confirmed_slices) == (0, 1)
    assert everything.missed_slices == 3


def test_readings_without_marks_are_counted_beside_those_with(figures):
    assert [(one.verdict, one.marked, one.readings) for one in figures.groups] == [
        ("all", 3, 15),
        ("ranges", 2, 10),
        ("nothing-above-threshold", 1, 4),
    ]


def test_the_interval_is_over_studies(history):
    histories = {
        f"{n}": history(("R1", "right", 1, 1, True), ("R1", "right" if n % 2 else "wrong", 5, 5, True))
        for n in range(20)
    }

    (found, *_) = feedback_figures(histories, {uid: uid for uid in histories}, {"ranges": 20}).groups
    (alone, *_) = feedback_figures(histories, dict.fromkeys(histories, "1"), {"ranges": 20}).groups

    assert found.share_right.value == alone.share_right.value == 0.75
    assert 0.5 < found.share_right.low < 0.75 < found.share_right.high < 1
    assert alone.share_right.low is None


def test_no_mark_gives_no_share(history):
    (found, *_) = feedback_figures({}, {}, {}).groups

    assert (found.marked, found.share_right.value) == (0, None)


def test_the_page_shows_them_and_says_what_they_can_not_tell(evaluation, figures):
    page = render_evaluation(evaluation.model_copy(update={"feedback": figures}))

    assert "What readers said" in page
    assert "2 / 10" in page
    assert "no random sample" in page
