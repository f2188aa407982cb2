"""The catalog on a real PostgreSQL: all of its own tests, writers at once, and a server that restarts under them."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lidcflow.catalog import database as away
from lidcflow.catalog.series import Catalog, State
from lidcflow.dicom.records import VerdictReason
from lidcflow.errors import DatabaseUnavailable
from lidcflow.inbox.delivery import Sighting
from lidcflow.inbox.ledger import Ledger
from lidcflow.series.verdicts import Verdict
from tests.cluster.postgres import is_installed, postgres
from tests.cluster.processes import wait_for
from tests.databases import SERVER, execute

ROOT = Path(__file__).parents[2]
OWN_TESTS = (
    "catalog/test_database.py",
    "catalog/test_migrate.py",
    "catalog/test_series.py",
    "catalog/test_upgrade.py",
    "report/test_marks_table.py",
    "erase/test_tombstones.py",
    "inbox/test_ledger.py",
    "inbox/test_noting.py",
)
WITHIN_S = 300


@pytest.fixture(scope="module")
def server():
    if not is_installed():
        pytest.skip("PostgreSQL is not here (Debian package postgresql)")
    with postgres("127.0.0.21", ["lidcflow"]) as running:
        yield running


@pytest.fixture
def url(server):
    """Return the URL of an empty database."""
    execute(server.url("lidcflow"), "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    return server.url("lidcflow")


def refused(uid):
    return Verdict(uid, VerdictReason.TOO_FEW_SLICES, f"series {uid}: must have at least 8 slices, got 3", n_files=3)


def test_what_holds_on_sqlite_holds_on_postgresql(server):
    tests = [str(ROOT / "tests" / name) for name in OWN_TESTS]

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=ROOT,
        env={**os.environ, SERVER: server.url("lidcflow")},
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout


def test_two_flows_that_tell_of_the_same_series_at_once_write_each_once(url):
    def write(_):
        with Catalog(url) as own:
            for start in range(10):
                own.record_verdicts([refused(f"1.{start + number}") for number in range(20)])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))

    with Catalog(url) as catalog:
        assert catalog.counts() == {State.REFUSED: 29}


def test_two_looks_at_one_source_at_once_find_each_series_once(url):
    shown = [Sighting(f"1.{number}", "1", "a", 10) for number in range(50)]

    def look(_):
        with Ledger(url) as own:
            return own.see("pacs", shown, release=1)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(look, range(4)))

    assert sum(found) == 50


def slow_down(url, uid):
    """Slow the server down when it writes one series."""
    execute(
        url,
        f"""CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.series_instance_uid = '{uid}' THEN PERFORM pg_sleep(2); END IF; RETURN NEW; END $$""",
        "CREATE TRIGGER wait BEFORE INSERT ON series FOR EACH ROW EXECUTE FUNCTION wait()",
    )


def is_writing(server):
    return server.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'") == "1"


def test_a_server_that_restarts_amid_a_transaction_costs_a_flow_nothing(url, server):
    with Catalog(url) as catalog, ThreadPoolExecutor(1) as pool:
        slow_down(url, "1.700")
        written = pool.submit(catalog.record_verdicts, (refused(f"1.{number}") for number in range(1000)))
        wait_for(lambda: is_writing(server), WITHIN_S)
        server.stop_at_once()
        server.server.start()
        before = server.sql("SELECT count(*) FROM series", "lidcflow")
        written.result(WITHIN_S)

        assert before == "0"
        assert catalog.counts() == {State.REFUSED: 1000}


def test_a_server_that_stays_away_ends_in_one_sentence_and_is_used_again_when_it_is_back(url, server, monkeypatch):
    monkeypatch.setattr(away, "PATIENCE_S", 1.0)
    with Catalog(url) as catalog:
        server.stop_at_once()
        try:
            with pytest.raises(DatabaseUnavailable, match=r"its server must answer, got .* start it"):
                catalog.record_verdicts([refused("1.1")])
            with pytest.raises(DatabaseUnavailable, match="its server must answer"):
                Catalog(url)
        finally:
            server.server.start()

        catalog.record_verdicts([refused("1.1")])
        assert catalog.counts() == {State.REFUSED: 1}
