"""Prefect's database: its own settings delete what is old, and a start gives the room back."""

import sqlite3
from contextlib import closing

import pytest
from prefect.settings import Settings

from flows.service.prefect_database import database_bytes, database_of, retention_settings, shrink
from flows.service.servers import prefect_server
from lidcflow.config import Config, RetentionConfig

MIB = 2**20


def test_prefect_understands_the_settings_as_days(tmp_path, monkeypatch):
    config = Config(workspace=tmp_path, retention=RetentionConfig(prefect_days=2.5))
    for name, value in retention_settings(config.retention.prefect_days).items():
        monkeypatch.setenv(name, value)

    server = Settings().server

    assert server.services.db_vacuum.retention_period.total_seconds() == 2.5 * 86400
    assert server.events.retention_period.total_seconds() == 2.5 * 86400
    assert server.services.db_vacuum.enabled_vacuum_types == {"events", "flow_runs", "orphans"}


def test_the_server_of_up_gets_them_and_what_the_user_set_goes_before(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFECT_SERVER_EVENTS_RETENTION_PERIOD", "PT3600S")

    environment = prefect_server(Config(workspace=tmp_path)).environment

    assert environment["PREFECT_SERVER_EVENTS_RETENTION_PERIOD"] == "PT3600S"
    assert environment["PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD"] == "2592000"


@pytest.mark.parametrize(("deleted", "is_written_anew"), [(9, True), (1, False)])
def test_a_database_is_written_anew_where_much_of_it_is_free(tmp_path, deleted, is_written_anew):
    config = Config(workspace=tmp_path)
    file = database_of(config.prefect_home)
    file.parent.mkdir()
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE log (number, text)")
        database.executemany("INSERT INTO log VALUES (?, ?)", [(number, b"x" * MIB) for number in range(10)])
        database.execute("DELETE FROM log WHERE number < ?", (deleted,))
    before_bytes = database_bytes(config.prefect_home)

    assert shrink(file, worth_it_bytes=MIB) == is_written_anew

    assert (database_bytes(config.prefect_home) < before_bytes / 3) == is_written_anew
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("SELECT count(*) FROM log").fetchone() == (10 - deleted,)


def test_a_database_that_a_server_has_open_or_that_is_not_there_stays_as_it_is(tmp_path):
    file = tmp_path / "prefect.db"
    absent = shrink(file)
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute("CREATE TABLE log (text)")
        database.executemany("INSERT INTO log VALUES (?)", [(b"x" * MIB,)] * 4)
        database.execute("DELETE FROM log")
        database.execute("BEGIN IMMEDIATE")

        assert (absent, shrink(file, worth_it_bytes=MIB)) == (False, False)
