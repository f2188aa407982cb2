"""The table of marks in a catalog that is there already, and in a new one."""

from datetime import UTC, datetime

import pytest

from lidcflow.catalog.series import Catalog
from lidcflow.report.marks import Mark
from lidcflow.report.marks_table import FeedbackTable
from tests.databases import UNMIGRATED, execute


@pytest.fixture
def mark():
    def make(number=1, **changes):
        said = {"number": number, "reader": "R1", "says": "right", "first_slice": 3, "last_slice": 5, "in_range": True}
        of = {"release": "lidcflow", "version": 3, "verdict": "ranges", "volume_digest": "ab"}
        return Mark(**{**said, **of, "time": datetime(2026, 1, 2, tzinfo=UTC), **changes})

    return make


def test_a_history_replaces_the_earlier_one_of_its_series_alone(catalog_url, mark):
    with FeedbackTable(catalog_url) as table:
        table.replace("1.2.1", "1.2", [mark()])
        table.replace("1.2.2", None, [mark()])
        table.replace("1.2.1", "1.2", [mark(), mark(2, says="undone", undoes=1)])
        rows = table.marks("lidcflow", 3)

    assert [(row.series_instance_uid, row.study_instance_uid, row.says) for row in rows] == [
        ("1.2.1", "1.2", "right"),
        ("1.2.1", "1.2", "undone"),
        ("1.2.2", None, "right"),
    ]
    assert rows[1].mark == mark(2, says="undone", undoes=1)


def test_marks_on_other_releases_are_left_out(catalog_url, mark):
    with FeedbackTable(catalog_url) as table:
        table.replace("1.2.1", "1.2", [mark(), mark(2, version=4)])

        assert [row.number for row in table.marks("lidcflow", 4)] == [2]


def test_a_catalog_from_before_there_was_feedback_gets_the_table_and_keeps_its_rows(catalog_url, mark):
    Catalog(catalog_url).close()
    series = "'1.2.1',NULL,NULL,'usable','usable','',1,1,0,'[]',false,NULL,NULL,'2026-01-01 12:00:00'"
    execute(catalog_url, UNMIGRATED, "DROP TABLE feedback", f"INSERT INTO series VALUES ({series})")

    with FeedbackTable(catalog_url) as table:
        table.replace("1.2.1", None, [mark()])

    with Catalog(catalog_url) as catalog:
        assert catalog.counts() == {"usable": 1}


def test_marks_on_erased_series_are_counted_and_deleted(catalog_url, mark):
    with FeedbackTable(catalog_url) as table:
        table.replace("1.2.1", "1.2", [mark(), mark(2)])
        table.replace("1.2.2", "1.2", [mark()])
        counted = table.delete(["1.2.1"], only_count=True)
        deleted = table.delete(["1.2.1"])
        rows = table.marks("lidcflow", 3)

    assert (counted, deleted) == (2, 2)
    assert [row.series_instance_uid for row in rows] == ["1.2.2"]
