"""Turns between machines that share a catalog in a real PostgreSQL and no folder."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, Table
from sqlalchemy.exc import OperationalError

from lidcflow.catalog import turns
from lidcflow.catalog.locks import at_work, is_at_work, nobody_else_at_work, require_turn
from lidcflow.catalog.series import Catalog
from lidcflow.catalog.turns import turn
from lidcflow.dicom.records import VerdictReason
from lidcflow.errors import ResourceError, WorkspaceBusy
from lidcflow.series.verdicts import Verdict
from tests.cluster.postgres import is_installed, postgres
from tests.databases import execute

ROOT = str(Path(__file__).parents[2])
WITHIN_S = 60
HOLD = """
import sys
sys.path.insert(0, sys.argv[3])
from pathlib import Path
from lidcflow.catalog.locks import at_work
from lidcflow.catalog.series import Catalog
from lidcflow.series.verdicts import Verdict
from lidcflow.dicom.records import VerdictReason
with at_work(Path(sys.argv[1]), "train", alone=True, catalog=sys.argv[2]), Catalog(sys.argv[2]) as catalog:
    print("in", flush=True)
    sys.stdin.readline()
    catalog.record_verdicts([Verdict("1.2", VerdictReason.TOO_FEW_SLICES, "too few", n_files=3)])
    print("written", flush=True)
"""


@pytest.fixture(scope="module")
def server():
    if not is_installed():
        pytest.skip("PostgreSQL is not here (Debian package postgresql)")
    with postgres("127.0.0.24", ["lidcflow", "other"]) as running:
        yield running


@pytest.fixture
def catalog(server):
    return server.url("lidcflow")


@contextmanager
def training(workspace, catalog):
    """Run a process that holds the turn of training, and writes into the catalog when it is told to."""
    program = [sys.executable, "-c", HOLD, str(workspace), catalog, ROOT]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(program, **pipes, text=True) as process:
        try:
            assert process.stdout.readline() == "in\n"
            yield process
        finally:
            process.kill()


def restart(server):
    server.stop_at_once()
    server.server.start()


def is_refused(workspace, catalog):
    try:
        with at_work(workspace, "train", alone=True, catalog=catalog):
            return False
    except WorkspaceBusy:
        return True


def test_one_training_at_a_time_on_two_machines_and_the_turn_goes_with_its_process(catalog, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"

    with training(there, catalog) as other:
        taken = is_at_work(here, "train", catalog)
        with (
            pytest.raises(ResourceError, match="only one train may run"),
            at_work(here, "train", alone=True, catalog=catalog),
        ):
            pass
        with at_work(here, "preprocess", catalog=catalog):
            pass
        other.kill()
        other.wait()
    deadline_s = time.monotonic() + 10
    while is_at_work(here, "train", catalog) and time.monotonic() < deadline_s:
        time.sleep(0.1)

    assert taken
    with at_work(here, "train", alone=True, catalog=catalog):
        assert is_at_work(there, "train", catalog)


def test_a_table_that_another_process_makes_at_the_same_moment_is_used(catalog, monkeypatch):
    execute(catalog, "DROP TABLE IF EXISTS lidcflow_turns")
    make = Table.create

    def make_late(table, connection, checkfirst=True):
        make(table, connection, checkfirst=checkfirst)
        make(table, connection, checkfirst=False)  # as if the other one had come after the check

    monkeypatch.setattr(Table, "create", make_late)
    with turn(catalog, "train", alone=True) as held:
        assert held


def test_a_holder_keeps_its_turn_when_the_server_restarts(server, catalog, tmp_path):
    with training(tmp_path / "there", catalog) as holder:
        restart(server)

        refused = [is_refused(tmp_path / "here", catalog) for _ in range(5)]
        print(file=holder.stdin, flush=True)

        assert refused == [True] * 5
        assert holder.stdout.readline() == "written\n"
        holder.wait(WITHIN_S)
    assert not is_refused(tmp_path / "here", catalog)


def test_a_holder_that_lost_its_turn_writes_nothing_more(server, catalog, tmp_path):
    with training(tmp_path / "there", catalog) as holder:
        holder.send_signal(signal.SIGSTOP)
        restart(server)
        with at_work(tmp_path / "here", "train", alone=True, catalog=catalog):
            print(file=holder.stdin, flush=True)
            holder.send_signal(signal.SIGCONT)
            _, said = holder.communicate(timeout=WITHIN_S)

            require_turn(catalog)

    assert "WorkspaceBusy: train: this process must hold the turn to write, got another process in its place" in said
    assert "terminating connection" not in said


def test_what_is_not_in_the_catalog_is_not_committed_either_after_a_turn_was_lost(server, catalog, tmp_path):
    with at_work(tmp_path, "train", alone=True, catalog=catalog), Catalog(catalog) as rows:
        require_turn(catalog)
        server.sql("DELETE FROM lidcflow_turns", "lidcflow")

        with pytest.raises(WorkspaceBusy, match="train and workspace: this process must hold the turn"):
            require_turn(catalog)
        with pytest.raises(WorkspaceBusy, match="run again after it"):
            rows.record_verdicts([Verdict("1.3", VerdictReason.TOO_FEW_SLICES, "too few", n_files=3)])
        assert "1.3" not in {row.series_instance_uid for row in rows.rows()}
    require_turn(catalog)


def test_two_machines_may_preprocess_but_one_alone_trains(server, catalog, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    with (
        at_work(here, "preprocess", catalog=catalog),
        at_work(there, "preprocess", catalog=catalog),
        at_work(here, "train", alone=True, catalog=catalog),
        at_work(there, "infer", alone=True, catalog=catalog),
        at_work(there, "train", alone=True, catalog=server.url("other")),
        at_work(tmp_path / "third", "train", alone=True),
        pytest.raises(WorkspaceBusy) as refused,
        at_work(tmp_path / "fourth", "train", alone=True, catalog=catalog),
    ):
        pass

    assert str(refused.value) == (
        f"workspace {tmp_path}/fourth: only one train may run at a time, got one under way; run again after it"
    )
    with at_work(there, "train", alone=True, catalog=catalog):
        assert is_at_work(here, "train", catalog)


def test_a_stage_on_another_machine_is_seen_by_the_catalog_alone(catalog, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"

    with at_work(here, "preprocess", catalog=catalog), at_work(there, "infer"):
        assert is_at_work(there, "preprocess", catalog)
        assert not is_at_work(there, "preprocess")
        assert not is_at_work(there, "train", catalog)
        assert is_at_work(there, "infer", catalog)


def test_an_erasure_and_what_runs_on_other_machines_keep_each_other_out(server, catalog, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    with (
        at_work(here, "infer", catalog=catalog),
        pytest.raises(WorkspaceBusy) as refused,
        nobody_else_at_work(there, catalog),
    ):
        pass
    with nobody_else_at_work(here, catalog):
        with pytest.raises(WorkspaceBusy) as late, at_work(there, "infer", catalog=catalog):
            pass
        with pytest.raises(WorkspaceBusy, match="got another one under way"), nobody_else_at_work(there, catalog):
            pass

    assert str(refused.value) == (
        f"workspace {there}: nothing else may run during an erasure, got another one under way; "
        "stop it, or run again after it"
    )
    assert str(late.value) == (
        f"workspace {there}: an erasure must come to its end first, got one under way; run again after it"
    )
    assert server.sql("SELECT count(*) FROM lidcflow_turns", "lidcflow") == "0"


def test_a_turn_keeps_no_transaction_open_in_the_database(server, catalog):
    with turn(catalog, "train", alone=True) as first, turn(catalog, "train", alone=True) as second:
        waiting = server.sql("SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'")

    assert (first, second, waiting) == (True, False, "0")


def test_a_server_that_went_away_has_let_go_of_the_turn(catalog, monkeypatch):
    def gone(_connection):
        raise OperationalError("", {}, ConnectionError())

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "close", gone)
        with turn(catalog, "evaluate", alone=True) as held:
            assert held


def test_the_lease_of_a_process_that_was_killed_is_waited_for(catalog, tmp_path, monkeypatch):
    monkeypatch.setattr(turns, "LEASE_S", 3.0)
    with training(tmp_path / "there", catalog) as other:
        os.kill(other.pid, signal.SIGKILL)
        other.wait()

    assert not is_refused(tmp_path / "here", catalog)


def test_a_database_that_is_away_is_named_without_its_password(tmp_path):
    away = "postgresql+pg8000://me:secret@127.0.0.1:9/catalog"

    with pytest.raises(ResourceError, match=r"catalog postgresql\+pg8000://me:\*\*\*@127\.0\.0\.1:9/catalog: the data"):
        is_at_work(tmp_path, "train", away)
