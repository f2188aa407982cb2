"""Who is kept out, in the catalog's database."""

import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest
from sqlalchemy import create_engine, text

from lidcflow.catalog.database import utc_now
from lidcflow.catalog.series import Catalog
from lidcflow.erase.subject import Subject, Target
from lidcflow.erase.tombstones import Tombstones, tombstones_in
from lidcflow.errors import ErasureError
from tests.databases import UNMIGRATED, execute

PATIENT = Subject("patient", "0123456789abcdef")


def rows(url, query):
    engine = create_engine(url)
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(text(query))]
    engine.dispose()
    return found


@pytest.fixture
def tombstones(catalog_url):
    with Tombstones(catalog_url) as opened:
        yield opened


def test_an_erasure_that_was_cut_short_goes_on_under_its_name_and_knows_what_waits(tombstones):
    first = tombstones.begin(PATIENT, [Target("1.2.3", "1.2", PATIENT.key)])

    second = tombstones.begin(PATIENT, [Target("1.2.4")])

    assert (second.erasure, second.asked) == (first.erasure, first.asked)
    assert second.waiting == (Target("1.2.3", "1.2"), Target("1.2.4"))


def test_a_finished_erasure_keeps_the_key_alone_and_a_later_one_has_another_name(tombstones):
    first = tombstones.begin(PATIENT, [Target("1.2.3")])

    done = tombstones.finish(PATIENT)

    assert (done.subject, done.waiting) == (PATIENT, ())
    assert done.done is not None
    assert tombstones.begin(PATIENT, []).erasure != first.erasure


def test_only_a_finished_erasure_is_lifted(tombstones):
    tombstones.begin(PATIENT, [])

    with pytest.raises(ErasureError) as refused:
        tombstones.lift(PATIENT)
    tombstones.finish(PATIENT)

    assert str(refused.value) == (
        f"erase: the erasure of patient {PATIENT.key} must come to its end before it is lifted, but it was cut short; "
        f"run `lidcflow erase --patient {PATIENT.key}` again"
    )

    assert tombstones.lift(PATIENT).subject == PATIENT
    assert tombstones.lift(PATIENT) is None
    assert tombstones.all() == []


def test_a_look_at_a_catalog_that_is_not_there_makes_none(tmp_path, catalog_url):
    assert tombstones_in(catalog_url) == []
    assert tombstones_in("sqlite://") == []
    assert list(tmp_path.iterdir()) == []


def test_the_tombstones_of_a_catalog_that_is_there_are_found(tombstones, catalog_url):
    begun = tombstones.begin(PATIENT, [Target("1.2.3")], {"volumes": {"1.2.3": 1}})

    assert tombstones_in(catalog_url) == tombstones.all() == [begun]


def test_tombstones_are_read_while_another_process_writes(tmp_path):
    with (
        Tombstones(f"sqlite:///{tmp_path}/catalog.db") as opened,
        closing(sqlite3.connect(tmp_path / "catalog.db", isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")

        assert opened.all() == []


def test_tombstones_come_in_the_order_of_their_erasures_and_keys(tombstones, monkeypatch):
    now = utc_now()
    times = iter([now + timedelta(days=1), now, now])
    monkeypatch.setattr("lidcflow.erase.tombstones.utc_now", lambda: next(times))
    for key in ("1.1", "1.3", "1.2"):
        tombstones.begin(Subject("series", key), [])

    assert [one.subject.key for one in tombstones.all()] == ["1.2", "1.3", "1.1"]


def test_an_erasure_knows_when_it_was_asked_for_and_done(tombstones):
    before = utc_now()

    begun, done = tombstones.begin(PATIENT, []), tombstones.finish(PATIENT)

    assert before <= begun.asked <= done.done <= utc_now()
    assert (begun.done, done.asked, done.erasure) == (None, begun.asked, begun.erasure)
    assert len(bytes.fromhex(begun.erasure)) == 4


def test_an_erasure_that_begins_again_after_its_end_knows_nothing_of_the_first(tombstones):
    tombstones.begin(PATIENT, [Target("1.2.3")], {"volumes": {"1.2.3": 1}})
    tombstones.finish(PATIENT)

    again = tombstones.begin(PATIENT, [Target("1.2.4")], {"volumes": {"1.2.4": 1}})

    assert (again.done, again.waiting, again.found) == (None, (Target("1.2.4"),), {"volumes": {"1.2.4": 1}})


def test_the_end_of_an_erasure_leaves_what_others_found_and_nothing_else(tombstones, catalog_url):
    other = Subject("series", "1.9")
    begun = tombstones.begin(other, [], {"volumes": {"1.9": 1}})
    tombstones.begin(PATIENT, [], {"volumes": {"1.2.3": 1}})

    tombstones.finish(PATIENT)

    assert {one.subject: one.found for one in tombstones.all()} == {other: {"volumes": {"1.9": 1}}, PATIENT: {}}
    assert rows(catalog_url, "SELECT erasure FROM erasure_found") == [(begun.erasure,)]


def test_a_catalog_from_before_there_were_tombstones_gets_the_table(catalog_url):
    with Catalog(catalog_url) as catalog:
        catalog.record_verdicts([])
    execute(catalog_url, UNMIGRATED, "DROP TABLE tombstones")

    assert tombstones_in(catalog_url) == []


def test_what_an_earlier_version_wrote_of_a_series_without_a_uid_is_understood(tombstones, catalog_url):
    tombstones.begin(PATIENT, [])
    execute(catalog_url, """UPDATE tombstones SET series = '["A/B 1.2.3", "C D 1.2.5", "A B", "1.2.4"]'""")

    begun = tombstones.begin(PATIENT, [Target.of("A/B")])

    assert set(begun.waiting) == {
        Target.of("A/B", "1.2.3"),
        Target.of("C D", "1.2.5"),
        Target.of("A B"),
        Target("1.2.4"),
    }


def test_what_several_tries_found_adds_up_until_the_erasure_is_done(tombstones):
    tombstones.begin(PATIENT, [], {"volumes": {"1.2.3": 1}, "header_files": {"1.2.3": 9}})

    begun = tombstones.begin(PATIENT, [], {"volumes": {"1.2.4": 1}, "header_files": {"1.2.3": 2}})

    assert begun.found == {"volumes": {"1.2.3": 1, "1.2.4": 1}, "header_files": {"1.2.3": 9}}
    assert tombstones.all()[0].found == begun.found
    tombstones.finish(PATIENT)
    assert tombstones.all()[0].found == {}
