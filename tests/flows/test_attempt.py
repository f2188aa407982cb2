"""An attempt in a process of its own gives its result or nothing, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from flows.attempt import attempted
from lidcflow.errors import SeriesRefused


def attempt(work, most_bytes=None):
    return attempted(work, variables={"LIDCFLOW_ATTEMPT": "yes"}, most_bytes=most_bytes)


def fails():
    raise ValueError("a decoder did not like it")


def crashes():
    os.kill(os.getpid(), signal.SIGKILL)


def grows():
    held = bytearray(b"x") * 2**26
    time.sleep(60)
    return len(held)


def test_the_result_of_work_comes_back_and_its_environment_does_not():
    assert attempt(lambda: os.environ["LIDCFLOW_ATTEMPT"]) == "yes"
    assert "LIDCFLOW_ATTEMPT" not in os.environ


@pytest.mark.parametrize(
    "work", [fails, crashes, sys.exit, lambda: lambda: None], ids=["error", "crash", "exit", "unsendable"]
)
def test_work_that_ends_without_a_result_gives_nothing(work):
    assert attempt(work) is None


def refuses():
    raise SeriesRefused("blank", "series 1.2: must show a patient, got air")


def test_an_error_of_lidcflow_is_raised_as_it_was():
    with pytest.raises(SeriesRefused, match=r"series 1\.2: must show a patient") as raised:
        attempt(refuses)
    assert raised.value.reason == "blank"


def test_work_that_outgrows_its_memory_is_ended():
    assert attempt(grows, most_bytes=2**25) is None


PROGRAM = """
import time
from flows.attempt import attempted
from pathlib import Path
from tempfile import TemporaryDirectory

def work():
    with TemporaryDirectory(dir={folder!r}):
        print("ready", flush=True)
        time.sleep(600)

attempted(work, variables={{}}, most_bytes=None)
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_command_that_is_ended_takes_its_attempt_with_it(tmp_path, how):
    program = [sys.executable, "-c", PROGRAM.format(folder=str(tmp_path))]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as command:
        assert command.stdout.readline() == "ready\n"
        copies = psutil.Process(command.pid).children(recursive=True)

        command.send_signal(how)

        assert psutil.wait_procs(copies, timeout=60)[1] == []
    assert len(copies) == 1
    assert how == signal.SIGKILL or list(tmp_path.iterdir()) == []
