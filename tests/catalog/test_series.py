from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, event

from lidcflow.catalog.series import Catalog, State
from lidcflow.config import PreprocessConfig
from lidcflow.dicom.records import VerdictReason
from lidcflow.errors import SeriesRefused, StoreError
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_folder
from lidcflow.series.verdicts import Verdict
from lidcflow.store.volumes import VolumeStore
from lidcflow.volume.reduce import reduce_series
from tests.databases import UNMIGRATED, execute


@pytest.fixture
def usable(tmp_path, ct_series):
    (verdict,) = index_folder(ct_series(tmp_path / "source", n=9), secret=PUBLIC_KEY)
    return verdict


@pytest.fixture
def stored(tmp_path, usable):
    """The record of the usable series' volume."""
    config = PreprocessConfig(slices=8, size=16)
    store = VolumeStore(tmp_path / "store", config)
    store.write(usable.series, reduce_series(usable.series, config))
    return store.record(usable.series_instance_uid)


def refused(uid):
    return Verdict(uid, VerdictReason.TOO_FEW_SLICES, f"series {uid}: must have at least 8 slices, got 3", n_files=3)


@pytest.fixture
def statements():
    """Return a list that gets every statement to a database."""
    told = []

    def note(_connection, _cursor, statement, *_):
        told.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield told
    event.remove(Engine, "before_cursor_execute", note)


def test_verdicts_are_written_many_at_a_time(catalog, statements):
    verdicts = [replace(refused(f"1.2.{n}"), patients=("a", "b")[: 1 + n % 2]) for n in range(400)]
    catalog.counts()
    statements.clear()

    catalog.record_verdicts(verdicts)
    catalog.record_verdicts(verdicts)

    assert catalog.counts() == {State.REFUSED: 400}
    assert len(statements) < 20


def test_a_usable_series_is_known_by_study_patient_and_slices(catalog, usable):
    catalog.record_verdicts([usable])

    (row,) = catalog.rows()
    series = usable.series
    assert (row.state, row.reason, row.n_files) == ("usable", "usable", 9)
    assert (row.study_instance_uid, row.patient_key) == (series.study_instance_uid, series.patient_key)
    assert row.n_slices == 9


def test_states_are_counted(catalog, usable):
    catalog.record_verdicts([usable, refused("1.2"), refused("1.3")])

    assert catalog.counts() == {State.REFUSED: 2, State.USABLE: 1}
    assert [row.series_instance_uid for row in catalog.rows(State.REFUSED)] == ["1.2", "1.3"]


def test_a_committed_series_stays_committed_when_it_is_indexed_again(catalog, usable):
    catalog.record_verdicts([usable])
    catalog.record_committed({usable.series_instance_uid: "d" * 64}, "c" * 64)
    catalog.record_verdicts([usable])

    (row,) = catalog.rows()
    assert (row.state, row.volume_digest, row.config_digest) == ("committed", "d" * 64, "c" * 64)


def test_a_committed_series_whose_source_spoiled_is_refused(catalog, usable):
    catalog.record_verdicts([usable])
    catalog.record_committed({usable.series_instance_uid: "d" * 64}, "c" * 64)
    catalog.record_verdicts([refused(usable.series_instance_uid)])

    assert catalog.counts() == {State.REFUSED: 1}


def test_a_failure_replaces_the_reason_and_a_later_success_the_failure(catalog, usable):
    uid = usable.series_instance_uid
    catalog.record_verdicts([usable])

    catalog.record_failed({uid: SeriesRefused("truncated", f"series {uid}: cut")})
    failed = catalog.rows()[0]
    catalog.record_verdicts([usable])
    catalog.record_committed({uid: "d" * 64}, "c" * 64)

    assert (failed.state, failed.reason) == ("failed", "truncated")
    assert (catalog.rows()[0].state, catalog.rows()[0].reason) == ("committed", "usable")


def test_the_time_of_the_last_change_stays_when_nothing_changed(catalog, usable):
    catalog.record_verdicts([usable])
    first = catalog.rows()[0].updated
    catalog.record_verdicts([usable])

    assert catalog.rows()[0].updated == first
    assert timedelta(0) <= datetime.now(UTC) - first < timedelta(minutes=1)


def test_a_commit_without_a_verdict_is_an_error_of_the_caller(catalog):
    with pytest.raises(ValueError, match="must have a verdict"):
        catalog.record_committed({"1.2": "d" * 64}, "c" * 64)

    assert catalog.rows() == []


def test_more_series_than_one_query_takes_are_all_written(catalog):
    catalog.record_verdicts(refused(f"1.{number}") for number in range(1001))
    catalog.record_verdicts(refused(f"1.{number}") for number in range(1001))

    assert catalog.counts() == {State.REFUSED: 1001}


def test_the_catalog_is_rebuilt_from_the_store(catalog, stored):
    assert catalog.rebuild_from([stored], datetime.now(UTC)) == 1

    (row,) = catalog.rows(State.COMMITTED)
    assert (row.series_instance_uid, row.volume_digest) == (stored.series_instance_uid, stored.volume_digest)
    assert row.patient_key == stored.patient_key


def test_a_rebuild_takes_back_what_the_store_does_not_hold(catalog, stored):
    catalog.rebuild_from([stored], datetime.now(UTC))

    assert catalog.rebuild_from([], datetime.now(UTC)) == 1

    assert [(row.state, row.volume_digest) for row in catalog.rows()] == [("usable", None)]


def test_a_rebuild_leaves_refused_series_refused(catalog, stored):
    catalog.record_verdicts([refused(stored.series_instance_uid), refused("1.2")])

    assert catalog.rebuild_from([stored], datetime.now(UTC)) == 0

    assert catalog.counts() == {State.REFUSED: 2}


def test_a_rebuild_commits_a_series_that_failed_after_its_volume_was_stored(catalog, usable, stored):
    uid = usable.series_instance_uid
    catalog.record_verdicts([replace(usable, set_aside=2)])
    catalog.record_failed({uid: SeriesRefused("quarantined", f"series {uid}: ended its worker")})

    catalog.rebuild_from([stored], datetime.now(UTC))

    (row,) = catalog.rows()
    assert (row.state, row.reason, row.volume_digest) == ("committed", "usable", stored.volume_digest)
    assert (row.n_files, row.set_aside) == (9, 2)


def test_a_rebuild_leaves_what_a_flow_wrote_since_the_store_was_read(catalog, usable):
    before = datetime.now(UTC)
    catalog.record_verdicts([usable])
    catalog.record_committed({usable.series_instance_uid: "d" * 64}, "c" * 64)

    assert catalog.rebuild_from([], before) == 0

    assert catalog.counts() == {State.COMMITTED: 1}


def test_writers_wait_for_each_other(catalog, catalog_url):
    def write(number):
        with Catalog(catalog_url) as own:
            own.record_verdicts([refused(f"1.{number}.{part}") for part in range(20)])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))

    assert catalog.counts() == {State.REFUSED: 160}


def test_two_first_runs_at_once_make_one_catalog(catalog_url):
    def first_run(_):
        with Catalog(catalog_url) as own:
            return own.counts()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(first_run, range(8))) == [{}] * 8


def test_a_catalog_of_another_version_is_left_alone(catalog_url):
    Catalog(catalog_url).close()
    execute(catalog_url, "UPDATE lidcflow_schema SET version = 99")

    with pytest.raises(StoreError, match="schema version must be 1, got 99"):
        Catalog(catalog_url)


def test_the_owners_of_all_series_are_told_page_by_page(catalog, usable, monkeypatch):
    monkeypatch.setattr("lidcflow.catalog.series._ROWS_PER_PAGE", 2)
    catalog.record_verdicts([usable, refused("1.2"), refused("1.3"), refused("1.4")])

    found = {uid: owner for uid, *owner in catalog.owners()}

    assert found[usable.series_instance_uid] == [usable.series.study_instance_uid, usable.series.patient_key]
    assert {uid for uid, owner in found.items() if owner == [None, None]} == {"1.2", "1.3", "1.4"}


def test_rows_are_counted_before_they_are_deleted(catalog):
    catalog.record_verdicts([refused("1.2"), refused("1.3")])

    assert catalog.delete(["1.2", "9.9"], only_count=True) == 1
    assert catalog.delete(["1.2", "9.9"]) == 1
    assert [row.series_instance_uid for row in catalog.rows()] == ["1.3"]


def test_a_refused_series_keeps_whose_it_is_and_one_of_two_patients_is_of_both(catalog):
    alone = replace(refused("1.2"), study_instance_uid="1", patients=("a",), studies=("1",))
    shared = replace(refused("1.3"), patients=("a", "b"), studies=("1", "2"))
    catalog.record_verdicts([alone, shared])

    assert set(catalog.owners()) == {("1.2", "1", "a"), ("1.3", "1", "a"), ("1.3", None, "a"), ("1.3", None, "b")}
    assert catalog.delete(["1.3"]) == 1
    assert list(catalog.owners()) == [("1.2", "1", "a")]


def test_the_row_of_a_series_that_is_found_to_be_erased_goes(catalog):
    catalog.record_verdicts([refused("1.2")])

    catalog.record_verdicts([replace(refused("1.2"), reason=VerdictReason.ERASED)])

    assert catalog.rows() == []


def test_a_catalog_of_narrower_columns_takes_longer_uids(catalog_url, usable):
    long_uid = "1.2." + "3" * 62
    with Catalog(catalog_url):
        pass
    execute(catalog_url, UNMIGRATED)
    if catalog_url.startswith("postgresql"):  # SQLite has no width
        narrow = "ALTER TABLE series ALTER COLUMN {} TYPE VARCHAR(64)"
        execute(catalog_url, *map(narrow.format, ("series_instance_uid", "study_instance_uid")))

    with Catalog(catalog_url) as catalog:
        catalog.record_verdicts([replace(usable, series_instance_uid=long_uid)])

        assert [row.series_instance_uid for row in catalog.rows()] == [long_uid]
