"""Readers' marks label stored series that no source has read, where the settings say so."""

from datetime import UTC, datetime

import pytest

from lidcflow.config import LabelConfig
from lidcflow.report.marks import MarkKind, add_mark
from lidcflow.store.volumes import VolumeRecord
from tasks.labels import label_readable
from tasks.readings import collect_readings
from tests.report.conftest import make_record, put, release, rows, study  # noqa: F401

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.fixture
def reports(study, put, tmp_path):  # noqa: F811
    """Return the folder of a report with the ranges 3 to 5 and 7, of which a reader judged both."""
    said = study(study_instance_uid="1.2.1")
    put(1, said.to_json())
    for says, first, last in (("wrong", 3, 5), ("right", 7, 7), ("malignant", 7, 7)):
        mark = MarkKind(reader="R1", says=says, first_slice=first, last_slice=last, version=3, volume_digest="ab" * 32)
        add_mark(tmp_path / "1.2.1" / "1.2.840.2", said, mark, NOON)
    return tmp_path


@pytest.fixture
def volume(make_record) -> VolumeRecord:  # noqa: F811
    images = tuple((f"1.2.840.3.{n}", n, 2.5 - 5.0 * n, None) for n in range(1, 17))
    return make_record(study_instance_uid="1.2.1", source_slices=images)


def labels_of(volume, reports, **settings):
    labelled = label_readable([volume], LabelConfig(**settings), reports=reports)
    return {uid: of.tolist() for uid, of in labelled.labels.items()}, labelled


def test_marks_label_a_series_and_are_counted(volume, reports):
    labels, labelled = labels_of(volume, reports, marks=True)

    assert labels == {"1.2.840.2": [0, 0, 0, 0, 0, 0, 2, 0]}
    assert (labelled.collected.marked, labelled.left_out) == ({"1.2.840.2": 3}, {})


def test_without_the_switch_marks_label_nothing(volume, reports):
    labels, labelled = labels_of(volume, reports)

    assert labels == {}
    assert "must be one of LIDC-IDRI to have labels" in labelled.left_out["1.2.840.2"]


def test_a_source_that_has_read_the_series_is_not_overruled(volume, reports, tmp_path):
    read = tmp_path / "own.csv"
    read.write_text("series_instance_uid,z_top_mm,z_bottom_mm,malignancy\n1.2.840.2,-1,-9,2\n")

    labels, labelled = labels_of(volume, reports, marks=True, source=str(read))

    assert labels == {"1.2.840.2": [1, 0, 0, 0, 0, 0, 0, 0]}
    assert labelled.collected.marked == {}


def test_marks_on_another_volume_or_without_a_whole_reading_leave_the_series_out_with_a_sentence(
    make_record,  # noqa: F811
    volume,
    reports,
    study,  # noqa: F811
):
    other = make_record(study_instance_uid="1.2.1", volume_digest="cd" * 32)
    undone = MarkKind(
        reader="R1", says="undone", first_slice=3, last_slice=5, undoes=1, version=3, volume_digest="ab" * 32
    )
    of_another = collect_readings([other], LabelConfig(marks=True), reports, None)
    add_mark(reports / "1.2.1" / "1.2.840.2", study(study_instance_uid="1.2.1"), undone, NOON)
    of_half = collect_readings([volume], LabelConfig(marks=True), reports, None)

    assert "marks must be about the volume that is stored" in of_another.left_out["1.2.840.2"]
    assert "every range must be judged, got none for slices 3 to 5" in of_half.left_out["1.2.840.2"]
    assert (of_another.nodules, of_half.nodules) == ({}, {})


def test_an_erased_report_leaves_no_label(volume, tmp_path):
    assert labels_of(volume, tmp_path / "reports", marks=True)[0] == {}
