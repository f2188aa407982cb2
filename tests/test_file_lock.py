import os
import subprocess
import sys
import threading
import time

import pytest

from lidcflow import file_lock
from lidcflow.file_lock import locked_folder, try_lock, trying_folder

HOLD = (
    "import os, sys; from lidcflow.file_lock import try_lock; "
    "print(try_lock(os.open(sys.argv[1], os.O_RDONLY)), flush=True); sys.stdin.read()"
)


@pytest.fixture
def opened(tmp_path):
    """Open one file again and again: each description has locks of its own."""
    file, descriptors = tmp_path / "lock", []
    file.touch()

    def another():
        descriptors.append(os.open(file, os.O_RDWR))
        return descriptors[-1]

    yield another
    for descriptor in descriptors:
        os.close(descriptor)


def test_a_lock_that_is_held_is_not_taken_again(opened):
    assert try_lock(opened())

    assert not try_lock(opened())
    assert not try_lock(opened(), shared=True)


def test_shared_locks_are_held_together_and_keep_others_out(opened):
    assert try_lock(opened(), shared=True)

    assert try_lock(opened(), shared=True)
    assert not try_lock(opened())


def test_one_that_is_patient_gets_the_lock_when_it_is_let_go(tmp_path, opened):
    descriptor = os.open(tmp_path / "lock", os.O_RDWR)
    assert try_lock(descriptor)
    threading.Timer(0.1, os.close, [descriptor]).start()

    assert try_lock(opened(), patience_s=30)


def test_patience_ends(opened, monkeypatch):
    monkeypatch.setattr(file_lock, "AGAIN_AFTER_S", 0.001)
    assert try_lock(opened())

    began_s = time.monotonic()

    assert not try_lock(opened(), patience_s=0.05)
    assert time.monotonic() - began_s >= 0.05


def test_a_lock_goes_with_the_process_that_holds_it(tmp_path, opened):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path / "lock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout.readline() == "True\n"
        assert not try_lock(opened())
        holder.kill()

    assert try_lock(opened())


def test_a_file_system_without_locks_is_no_lock_that_is_taken(opened, monkeypatch):
    def refuse(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)

    with pytest.raises(OSError, match="No locks available"):
        try_lock(opened())


def test_a_folder_is_locked_while_the_block_runs(tmp_path):
    with trying_folder(tmp_path) as first, trying_folder(tmp_path) as second:
        assert (first, second) == (True, False)

    with trying_folder(tmp_path) as third:
        assert third


def test_writers_that_wait_for_a_folder_come_one_after_another(tmp_path):
    inside, most = [], []

    def work():
        with locked_folder(tmp_path):
            inside.append(1)
            time.sleep(0.01)
            most.append(len(inside))
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == [1] * 5


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), trying_folder(tmp_path / "none"):
        pass
