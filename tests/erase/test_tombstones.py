"""Who is kept out, in the catalog's database."""

import pytest

from lidcflow.catalog.series import Catalog
from lidcflow.erase.subject import Subject, Target
from lidcflow.erase.tombstones import Tombstones, tombstones_in
from lidcflow.errors import ErasureError
from tests.databases import UNMIGRATED, execute

PATIENT = Subject("patient", "0123456789abcdef")


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

    with pytest.raises(ErasureError, match=f"was cut short; run `lidcflow erase --patient {PATIENT.key}` again"):
        tombstones.lift(PATIENT)
    tombstones.finish(PATIENT)

    assert tombstones.lift(PATIENT).subject == PATIENT
    assert tombstones.lift(PATIENT) is None
    assert tombstones.all() == []


def test_a_look_at_a_catalog_that_is_not_there_makes_none(tmp_path, catalog_url):
    assert tombstones_in(catalog_url) == []
    assert list(tmp_path.iterdir()) == []


def test_a_catalog_from_before_there_were_tombstones_gets_the_table(catalog_url):
    with Catalog(catalog_url) as catalog:
        catalog.record_verdicts([])
    execute(catalog_url, UNMIGRATED, "DROP TABLE tombstones")

    assert tombstones_in(catalog_url) == []


def test_what_an_earlier_version_wrote_of_a_series_without_a_uid_is_understood(tombstones, catalog_url):
    tombstones.begin(PATIENT, [])
    execute(catalog_url, """UPDATE tombstones SET series = '["A/B 1.2.3", "A B", "1.2.4"]'""")

    begun = tombstones.begin(PATIENT, [Target.of("A/B")])

    assert set(begun.waiting) == {Target.of("A/B", "1.2.3"), Target.of("A B"), Target("1.2.4")}


def test_what_several_tries_found_adds_up_until_the_erasure_is_done(tombstones):
    tombstones.begin(PATIENT, [], {"volumes": {"1.2.3": 1}, "header_files": {"1.2.3": 9}})

    begun = tombstones.begin(PATIENT, [], {"volumes": {"1.2.4": 1}, "header_files": {"1.2.3": 2}})

    assert begun.found == {"volumes": {"1.2.3": 1, "1.2.4": 1}, "header_files": {"1.2.3": 9}}
    assert tombstones.all()[0].found == begun.found
    tombstones.finish(PATIENT)
    assert tombstones.all()[0].found == {}
