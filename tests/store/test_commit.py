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


def test_a_killed_writer_leaves_nothing_in_sight(tmp_path):
    target, aside = tmp_path / "a", tmp_path / ".incoming"
    writer = subprocess.Popen([sys.executable, "-c", WRITE_AND_WAIT, target, aside], stdout=subprocess.PIPE)
    assert writer.stdout.readline() == b"writing\n"

    writer.send_signal(signal.SIGKILL)
    writer.communicate()

    assert not target.exists()
    assert len(list(aside.iterdir())) == 1


def test_what_was_there_is_replaced_whole(tmp_path):
    target, aside = tmp_path / "a", tmp_path / ".incoming"
    for name in ("old", "new"):
        with commit.committed(target, aside) as draft:
            (draft / name).touch()

    assert [path.name for path in target.iterdir()] == ["new"]


def test_leftovers_are_swept_after_a_day_and_not_before(tmp_path):
    old, young = tmp_path / "old", tmp_path / "young"
    old.mkdir()
    young.mkdir()
    yesterday = time.time() - commit.STALE_S - 10
    os.utime(old, (yesterday, yesterday))

    commit.sweep(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["young"]


def test_removing_what_is_not_there_is_no_error(tmp_path):
    commit.remove(tmp_path / "a", tmp_path / ".incoming")


def test_a_disk_without_room_is_named(tmp_path):
    with pytest.raises(ResourceError, match=r"MiB free, got .* MiB; free some space"):
        commit.require_space(tmp_path, 2**60)
