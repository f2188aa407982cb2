"""Who may be at work on a workspace at the same time."""

import errno
import fcntl
import os
import sqlite3
import subprocess
import sys
from contextlib import ExitStack, closing, contextmanager

import pytest

from lidcflow.catalog import locks
from lidcflow.catalog.locks import (
    SERVED_FILE,
    at_work,
    is_at_work,
    nobody_else_at_work,
    relocate_tracking,
)
from lidcflow.errors import ResourceError, WorkspaceBusy
from lidcflow.store import relocation


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(locks, "PATIENCE_S", 0.0)


@pytest.fixture
def moved(tmp_path):
    """A workspace whose MLflow database names the folder where it lay before."""
    workspace = tmp_path / "moved"
    (workspace / "mlflow").mkdir(parents=True)
    with closing(sqlite3.connect(workspace / relocation.DATABASE)) as database, database:
        database.execute("CREATE TABLE experiments (experiment_id INTEGER, artifact_location TEXT)")
        database.execute("INSERT INTO experiments VALUES (1, ?)", (f"file://{tmp_path}/before/mlflow/artifacts",))
    return workspace


@contextmanager
def locked(file, kind):
    file.parent.mkdir(exist_ok=True)
    with file.open("w") as stream:
        fcntl.flock(stream, kind)
        yield


def test_two_may_preprocess_but_one_alone_trains(tmp_path):
    with (
        at_work(tmp_path, "preprocess"),
        at_work(tmp_path, "preprocess"),
        at_work(tmp_path, "train", alone=True),
        pytest.raises(WorkspaceBusy) as refused,
        at_work(tmp_path, "train", alone=True),
    ):
        pass

    assert str(refused.value) == (
        f"workspace {tmp_path}: only one train may run at a time, got one under way; run again after it"
    )


def test_an_erasure_runs_alone_and_names_what_is_in_its_way(tmp_path):
    with (
        at_work(tmp_path, "infer"),
        at_work(tmp_path, "preprocess"),
        pytest.raises(WorkspaceBusy) as refused,
        nobody_else_at_work(tmp_path),
    ):
        pass

    assert str(refused.value) == (
        f"workspace {tmp_path}: nothing else may run during an erasure, got preprocess and infer under way; "
        "stop it, or run again after it"
    )
    with nobody_else_at_work(tmp_path), pytest.raises(WorkspaceBusy) as refused, at_work(tmp_path, "infer"):
        pass
    assert str(refused.value) == (
        f"workspace {tmp_path}: an erasure must come to its end first, got one under way; run again after it"
    )


def test_a_second_erasure_is_refused_though_no_stage_is_under_way(tmp_path):
    with (
        nobody_else_at_work(tmp_path),
        pytest.raises(WorkspaceBusy, match="during an erasure, got another one under way"),
        nobody_else_at_work(tmp_path),
    ):
        pass


def test_another_process_at_the_stage_is_waited_for_as_long_as_is_asked(tmp_path, monkeypatch):
    first = ExitStack()
    first.enter_context(at_work(tmp_path, "inbox", alone=True))
    monkeypatch.setattr("lidcflow.file_lock.time.sleep", lambda _: first.close())

    with at_work(tmp_path, "inbox", alone=True, patience_s=30):
        assert is_at_work(tmp_path, "inbox")


def test_one_who_only_looks_whether_a_turn_is_taken_is_waited_for_a_moment(tmp_path, monkeypatch):
    looking = ExitStack()
    looking.enter_context(locked(tmp_path / "locks" / "workspace.lock", fcntl.LOCK_EX))
    monkeypatch.setattr(locks, "PATIENCE_S", 30.0)
    monkeypatch.setattr("lidcflow.file_lock.time.sleep", lambda _: looking.close())

    with at_work(tmp_path, "infer"):
        assert is_at_work(tmp_path, "infer")


def test_to_look_whether_a_turn_is_taken_never_waits(tmp_path, monkeypatch):
    monkeypatch.setattr("lidcflow.file_lock.time.sleep", lambda _: pytest.fail("it waits"))

    with at_work(tmp_path, "infer"):
        assert is_at_work(tmp_path, "infer")


def test_a_workspace_is_made_and_the_files_of_its_turns_are_their_owners_to_write(tmp_path):
    usual = os.umask(0)
    try:
        with at_work(tmp_path / "new" / "workspace", "infer"):
            pass
    finally:
        os.umask(usual)

    modes = {file.name: file.stat().st_mode & 0o777 for file in (tmp_path / "new" / "workspace" / "locks").iterdir()}
    assert modes == {"workspace.lock": 0o644, "infer.lock": 0o644}


def test_a_workspace_that_can_not_be_written_is_named_with_the_way_out(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(ResourceError) as refused, at_work(tmp_path / "file", "infer"):
        pass

    assert str(refused.value) == (
        f"workspace {tmp_path}/file: must be writable, got Not a directory; choose another one with --workspace"
    )


def test_where_the_file_system_has_no_locks_every_turn_is_free(tmp_path, monkeypatch):
    def without(*_args, **_options):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks, "try_lock", without)

    with at_work(tmp_path, "train", alone=True), at_work(tmp_path, "train", alone=True):
        assert not is_at_work(tmp_path, "train")


def test_a_catalog_in_sqlite_has_no_turns_between_machines(tmp_path):
    catalog = f"sqlite:///{tmp_path}/catalog.db"

    with (
        at_work(tmp_path / "here", "train", alone=True, catalog=catalog),
        at_work(tmp_path / "there", "train", alone=True, catalog=catalog),
    ):
        assert not is_at_work(tmp_path / "third", "train", catalog)
    assert not (tmp_path / "catalog.db").exists()


def test_the_places_of_a_moved_workspace_are_rewritten_before_work_on_it(moved):
    first, again = relocate_tracking(moved), relocate_tracking(moved)

    assert (first, again) == (1, 0)
    assert relocation.former_roots(moved) == []


@pytest.mark.parametrize("work", [lambda folder: at_work(folder, "infer"), nobody_else_at_work])
def test_work_and_erasures_begin_with_the_places_of_a_moved_workspace(moved, work):
    with work(moved):
        assert relocation.former_roots(moved) == []


@pytest.mark.parametrize(
    ("name", "kind"), [("locks/workspace.lock", fcntl.LOCK_SH), (SERVED_FILE, fcntl.LOCK_EX)], ids=["command", "up"]
)
def test_nothing_is_rewritten_while_another_process_uses_the_former_name(moved, tmp_path, name, kind):
    with locked(moved / name, kind), pytest.raises(ResourceError) as refused:
        relocate_tracking(moved)

    assert str(refused.value) == (
        f"workspace {moved}: its MLflow database names {tmp_path}/before as its folder, and another process is at work "
        "there under that name; stop it, or use the workspace by the same name"
    )
    assert relocate_tracking(moved) == 1


def test_one_who_only_looks_whether_a_workspace_is_served_is_in_nobodys_way(moved):
    with locked(moved / SERVED_FILE, fcntl.LOCK_SH):
        assert relocate_tracking(moved) == 1


def test_a_turn_ends_with_its_process_however_that_ends(tmp_path):
    program = (
        "import sys, time; from pathlib import Path; from lidcflow.catalog.locks import at_work\n"
        "with at_work(Path(sys.argv[1]), 'train', alone=True): print('in', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "in\n"
        held = is_at_work(tmp_path, "train")
    finally:
        other.kill()
        other.communicate()

    assert (held, is_at_work(tmp_path, "train"), is_at_work(tmp_path, "infer")) == (True, False, False)
