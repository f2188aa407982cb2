"""The index of many reports."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from lidcflow.report import index as module
from lidcflow.report.folder import ReportKey
from lidcflow.report.index import Filter, ReportEntry, ReportIndex, count_verdicts, page_of, releases_of
from lidcflow.report.page import DATA
from lidcflow.report.rank import not_evaluated

MANY = 2000


def test_two_thousand_reports_are_read_once(put, study, release, tmp_path, monkeypatch):
    texts = [study().to_json(), study(*[0.1] * 8).to_json()]
    texts.append(not_evaluated("1.2.840.2", None, "tilted", "got 12 degrees", release).to_json())
    for number in range(MANY):
        put(number, texts[number % 3])
    listing = ReportIndex(tmp_path)
    first = listing.entries()

    monkeypatch.setattr(module, "read_plain", None)
    again = listing.entries()

    assert again == first
    assert [entry.key.study for entry in first[:2]] == ["1.2.1999", "1.2.1998"]
    assert readings_count(first) == {"ranges": 667, "nothing-above-threshold": 667, "not-evaluated": 666}


def readings_count(entries):
    return {verdict: sum(entry.verdict == verdict for entry in entries) for verdict in module.VERDICTS[:3]}


def test_a_report_that_changes_is_read_again_and_one_that_goes_away_is_gone(put, study, tmp_path):
    put(1, study().to_json())
    put(2, study().to_json())
    listing = ReportIndex(tmp_path)
    before = [entry.verdict for entry in listing.entries()]

    (tmp_path / "1.2.1" / "1.2.840.2" / DATA).write_text(study(*[0.1] * 8).to_json())
    (tmp_path / "1.2.2" / "1.2.840.2" / DATA).unlink()

    assert before == ["ranges", "ranges"]
    assert [entry.verdict for entry in listing.entries()] == ["nothing-above-threshold"]


def test_damaged_and_foreign_reports_are_listed_as_unreadable(put, study, tmp_path):
    put(1, "{")
    put(2, study().to_json().replace('"1.2.840.2"', '"1.2.840.3"'))

    assert [(entry.verdict, entry.glance) for entry in ReportIndex(tmp_path).entries()] == [("unreadable", None)] * 2


def test_readings_of_a_release_are_counted_by_verdict(put, study, tmp_path):
    put(1, study().to_json())
    put(2, study(*[0.1] * 8).to_json())

    assert count_verdicts(tmp_path, "lidcflow", 3) == {"ranges": 1, "nothing-above-threshold": 1}
    assert count_verdicts(tmp_path, "lidcflow", 4) == {}
    assert releases_of(ReportIndex(tmp_path).entries()) == ["lidcflow 3"]


@pytest.mark.parametrize(
    ("chosen", "fits"),
    [
        (Filter(), True),
        (Filter(since="2026-03-02", until="2026-03-02"), True),
        (Filter(since="2026-03-03"), False),
        (Filter(until="2026-03-01"), False),
        (Filter(since="yesterday"), True),
        (Filter(uid=" 7.8 "), True),
        (Filter(uid="9.9"), False),
        (Filter(verdict="unreadable"), True),
        (Filter(verdict="ranges"), False),
        (Filter(release="lidcflow 3"), False),
    ],
)
def test_a_filter_leaves_in_what_fits_all_its_fields(chosen, fits):
    entry = ReportEntry(ReportKey("1.2.7.8", "1.2.5"), datetime(2026, 3, 2, 23, 59, tzinfo=UTC), None)

    assert entry.written.date() == date(2026, 3, 2)
    assert chosen(entry) is fits


@pytest.mark.parametrize(("number", "shown", "entries"), [(1, 1, [0, 1]), (3, 3, [4]), (9, 3, [4]), (-1, 1, [0, 1])])
def test_a_page_is_cut_out_of_all_entries(number, shown, entries):
    page = page_of([0, 1, 2, 3, 4], number, size=2)

    assert (page.number, page.pages, page.found, list(page.entries)) == (shown, 3, 5, entries)


def test_the_best_finding_is_the_highest_of_a_report(put, study, findings, tmp_path):
    put(1, study(findings=findings).to_json())

    (entry,) = ReportIndex(tmp_path).entries()

    assert len(entry.glance.findings) == 2
    assert entry.glance.highest == findings[0].probability


@pytest.mark.parametrize("verdict", ["ranges", "nothing-above-threshold", "not-evaluated"])
def test_reports_of_version_1_are_listed(put, tmp_path, verdict):
    put(1, (Path(__file__).parent / "version-1" / f"{verdict}.json").read_text())

    (entry,) = ReportIndex(tmp_path).entries()

    assert entry.verdict == verdict
