"""When marks on a recommendation make a whole reading, and what readings they are."""

from datetime import UTC, datetime

import numpy as np
import pytest

from lidcflow.config import LabelConfig
from lidcflow.labels.nodules import join_overlapping
from lidcflow.labels.slices import slab_labels
from lidcflow.report.mark_labels import marks_of_reading, readings_of_marks, why_not_read
from lidcflow.report.marks import MarkKind, add_mark

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.fixture
def marked(study, tmp_path):
    """Return what a study with the ranges 3 to 5 and 7 says, and the marks in force after some were given."""

    def give(*marks):
        said, history = study(), ()
        for reader, says, first, last in marks:
            kind = MarkKind(
                reader=reader, says=says, first_slice=first, last_slice=last, version=3, volume_digest="ab" * 32
            )
            history = add_mark(tmp_path, said, kind, NOON)
        return said, marks_of_reading(said, history)

    return give


BOTH_WRONG = (("R1", "wrong", 3, 5), ("R1", "wrong", 7, 7))


def test_ranges_that_are_all_wrong_make_a_whole_reading_without_nodules(marked, make_record):
    said, marks = marked(*BOTH_WRONG)

    assert why_not_read(said, marks) == ""
    assert readings_of_marks(said, marks, make_record().edges_mm) == []


@pytest.mark.parametrize(
    ("marks", "reason"),
    [
        ((("R1", "wrong", 3, 5),), "every range must be judged, got none for slices 7 to 7"),
        ((*BOTH_WRONG, ("R2", "right", 7, 7)), "readers must agree on each range"),
        ((BOTH_WRONG[0], ("R1", "right", 7, 7)), "a range judged right must have a slice with a class"),
        ((*BOTH_WRONG, ("R1", "benign", 7, 7)), "a range judged wrong must have no slice with a class"),
        ((*BOTH_WRONG, ("R1", "nodule", 1, 1)), "every added slice must be benign or malignant"),
    ],
)
def test_what_is_not_whole_or_contradicts_itself_is_no_reading(marked, marks, reason):
    assert why_not_read(*marked(*marks)).startswith(reason)


def test_the_classes_of_slices_become_labels_and_readers_who_differ_are_averaged(marked, make_record):
    said, marks = marked(
        BOTH_WRONG[0],
        ("R1", "right", 7, 7),
        ("R1", "benign", 7, 7),
        ("R1", "malignant", 1, 1),
        ("R1", "malignant", 2, 2),
        ("R2", "benign", 1, 1),
        ("R2", "benign", 2, 2),
    )
    record = make_record()

    readings = readings_of_marks(said, marks, record.edges_mm)

    nodules = join_overlapping(readings, record.slice_spacing_mm / 2)
    labels = slab_labels(record.edges_mm, nodules, record.slice_spacing_mm / 2, LabelConfig())
    assert why_not_read(said, marks) == ""
    assert sorted(nodule.malignancy for nodule in nodules) == [1.0, 3.0]
    np.testing.assert_array_equal(labels, [2, 2, 0, 0, 0, 0, 1, 0])
