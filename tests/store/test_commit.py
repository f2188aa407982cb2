import errno
import os
import signal
import subprocess
import sys
import time

import pytest

from lidcflow.errors import ResourceError
from lidcflow.store import commit

WRITE_AND_WAIT = """
import sys, time
from pathlib import Path
from lidcflow.store.commit import committed
with committed(Path(sys.argv[1]), Path(sys.argv[2])) as draft:
    (draft / "half").write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


def test_a_folder_appears_whole(tmp_path):
    target, aside = tmp_path / "a", tmp_path / ".incoming"

    with commit.committed(target, aside) as draft:
        (draft / "file").write_text("whole")
        assert not target.exists()

    assert (target / "file").read_text() == "whole"
    assert list(aside.iterdir()) == []


def test_a_writer_that_fails_leaves_nothing(tmp_path):
    target, aside = tmp_path / "a", tmp_path / ".incoming"

    with pytest.raises(ZeroDivisionError), commit.committed(target, aside) as draft:
        (draft / "file").write_text(str(1 / 0))

    assert not target.exists()
    assert list(aside.iterdir()) == []


def test_a_disk_that_fills_up_leaves_nothing_and_is_named(tmp_path):
    target, aside = tmp_path / "a", tmp_path / ".incoming"

    with pytest.raises(ResourceError, match="free some space"), commit.committed(target, aside):
        raise OSError(errno.ENOSPC, "no space left")

    assert not target.exists()
    assert list(aside.iterdir()) == []


def test_a_killed_writer_leaves_nothing_in_sight_and_its_draft_is_swept(tmp_path):
    target, aside = tmp_path / "a", tmp_path / ".incoming"
    writer = subprocess.Popen([sys.executable, "-c", WRITE_AND_WAIT, target, aside], stdout=subprocess.PIPE)
    assert writer.stdout.readline() == b"writing\n"

    writer.send_signal(signal.SIGKILL)
    writer.communicate()

    assert not target.exists()
    assert commit.sweep(aside).removed == 1
    assert list(aside.iterdir()) == []


def test_what_was_there_is_replaced_whole(tmp_path):
    target, aside = tmp_path / "a", tmp_path / ".incoming"
    for name in ("old", "new"):
        with commit.committed(target, aside) as draft:
            (draft / name).touch()

    assert [path.name for path in target.iterdir()] == ["new"]


def test_a_draft_of_a_living_writer_is_left_alone_and_counted(tmp_path):
    aside = tmp_path / ".incoming"

    with commit.committed(tmp_path / "a", aside) as draft:
        swept = commit.sweep(aside)
        (draft / "file").touch()

    assert (swept.removed, swept.in_work) == (0, 1)
    assert (tmp_path / "a" / "file").exists()


def test_where_locks_do_not_work_a_draft_is_swept_after_a_day(tmp_path, monkeypatch):
    old, young = tmp_path / f"a.{'0' * 16}", tmp_path / f"b.{'0' * 16}"
    old.mkdir()
    young.mkdir()
    yesterday = time.time() - commit.STALE_S - 10
    os.utime(old, (yesterday, yesterday))
    monkeypatch.setattr("fcntl.flock", without_locks)

    swept = commit.sweep(tmp_path)

    assert (swept.removed, swept.in_work) == (1, 1)
    assert list(tmp_path.iterdir()) == [young]


def without_locks(*_):
    raise OSError(errno.EBADF, "no locks on a folder of NFS")


def test_what_is_no_draft_is_left_alone_and_counted(tmp_path):
    (tmp_path / "thesis").mkdir()

    assert commit.sweep(tmp_path).unknown == 1
    assert (tmp_path / "thesis").is_dir()


def test_removing_what_is_not_there_is_no_error(tmp_path):
    commit.remove(tmp_path / "a", tmp_path / ".incoming")


def test_a_disk_without_room_is_named(tmp_path):
    with pytest.raises(ResourceError, match=r"MiB free, got .* MiB; free some space"):
        commit.require_space(tmp_path, 2**60)
