"""The first look at a PACS that holds studies already."""

from datetime import UTC, date, datetime, timedelta

import pytest

from lidcflow.pacs.backlog import read_backlog, since_moved_back, what_is_left_out
from lidcflow.pacs.feed import Position, read_feed

TODAY = date(2026, 1, 10)
NOW = datetime.now(UTC)


def told(connection, position=None, now=NOW):
    """Read on from a position, or the first time; return the studies that are told of, and the position after it."""
    changes, reached = read_feed(connection, position, TODAY) if position else read_backlog(connection, TODAY, now=now)
    return {change.study_instance_uid for change in changes}, reached


def test_what_a_pacs_held_before_it_was_looked_at_is_left_out_counted_and_said(ct_series, tmp_path, pacs):
    pacs.send(ct_series(tmp_path / "old", n=2))
    pacs.wait_until_stable(1)
    with pacs.connect(since="now") as connection:
        nothing, beginning = told(connection, now=datetime(2050, 1, 10, 12, tzinfo=UTC))
        new = pacs.send(ct_series(tmp_path / "new", n=2))
        pacs.wait_until_stable(2)
        studies, reached = told(connection, beginning)

    assert (nothing, studies, reached.left_out) == (set(), {new}, 1)
    assert what_is_left_out("pacs:main", reached) == (
        "pacs:main: studies that it held on 2050-01-10 at 12:00 UTC are left out, 1 of them; "
        'set since = "everything" or a date in [access.pacs.main] to have them read'
    )


def test_the_study_whose_arrival_led_to_the_first_look_is_read(ct_series, tmp_path, pacs):
    study = pacs.send(ct_series(tmp_path / "calls", n=2))
    pacs.wait_until_stable(1)

    with pacs.connect(since="now") as connection:
        studies, reached = told(connection, now=NOW + timedelta(minutes=50))

    assert (studies, reached.left_out) == ({study}, 0)
    assert what_is_left_out("pacs:main", reached) is None


def test_a_pacs_can_be_read_from_its_first_study_on(ct_series, tmp_path, pacs):
    old = pacs.send(ct_series(tmp_path / "old", n=2))
    pacs.wait_until_stable(1)

    with pacs.connect(since="everything") as connection:
        studies, reached = told(connection)

    assert studies == {old}
    assert what_is_left_out("pacs:main", reached) is None


@pytest.mark.parametrize(("day", "before"), [("2026-01-03", 4), ("2025-01-01", 0), ("2027-01-01", 1000)])
def test_the_last_change_before_a_day_is_found_in_a_long_feed_with_a_few_requests(tiny, monkeypatch, day, before):
    dates = ["20260101T080000"] * 2 + ["20260102T080000"] * 2 + ["20260103T080000"] * 996
    asked = []

    def get_json(_url, query):
        asked.append(query)
        return page(dates, query), {}

    with tiny.connect(changes="http://127.0.0.1:9/changes", since=date.fromisoformat(day)) as connection:
        monkeypatch.setattr(connection, "get_json", get_json)

        assert read_backlog(connection, TODAY)[1].sequence == len(dates)
    asked_first = next(int(query["since"]) for query in asked if query.get("limit") == "1000")
    assert asked_first == before
    assert len(asked) < 20


def page(dates, query):
    if "last" in query:
        return {"Last": len(dates)}
    first, last = int(query["since"]), min(len(dates), int(query["since"]) + int(query["limit"]))
    changes = [{"Seq": n + 1, "Date": dates[n], "ChangeType": "NewInstance"} for n in range(first, last)]
    return {"Changes": changes, "Last": last, "Done": last == len(dates)}


def test_a_pacs_that_is_polled_tells_of_what_comes_or_grows_after_the_first_look(ct_series, tmp_path, pacs):
    pacs.send(ct_series(tmp_path / "old", n=2, StudyDate="20260109"))
    pacs.send(ct_series(tmp_path / "arriving", n=1, StudyDate="20260110"))
    with pacs.connect(changes=None, since="now") as connection:
        nothing, reached = told(connection)
        grown = pacs.send(ct_series(tmp_path / "arriving", n=2, StudyDate="20260110"))
        studies, _ = told(connection, reached)

    assert (nothing, reached.left_out) == (set(), 2)
    assert studies == {grown}


def test_a_pacs_that_is_polled_is_asked_once_for_what_is_older_than_its_poll_days(ct_series, tmp_path, pacs):
    days = {"ancient": "19990101", "old": "20251001", "new": "20260110"}
    studies = {name: pacs.send(ct_series(tmp_path / name, n=1, StudyDate=day)) for name, day in days.items()}
    new = {studies["new"]}

    def told_since(since):
        with pacs.connect(changes=None, since=since) as connection:
            first, reached = told(connection)
            again, last = told(connection, reached)
        return first, again, set(last.seen)

    assert told_since("everything") == (set(studies.values()), set(), new)
    assert told_since(date(2025, 9, 1)) == ({studies["old"], *new}, set(), new)
    assert told_since(date(2026, 1, 11)) == (set(), set(), set())


def test_only_a_setting_that_reaches_further_back_begins_anew(tiny):
    services = {since: tiny.connect(since=since).service for since in ("now", "everything", date(2025, 1, 1))}
    begun_now, begun_by_an_older_version = Position(since="now"), Position(sequence=7)

    assert {since: since_moved_back(service, begun_now) for since, service in services.items()} == {
        "now": False,
        "everything": True,
        date(2025, 1, 1): True,
    }
    assert not any(since_moved_back(service, begun_by_an_older_version) for service in services.values())
    assert not since_moved_back(services["now"], Position(since="everything"))
