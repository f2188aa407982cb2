"""A run that is forked from a warm process is, for whoever started it, the process that he started."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from flows.service.fork_client import FORK_SERVER

SERVER = """
import os, signal, sys, time
from pathlib import Path
from flows.service.fork_server import ForkServer

def wait():
    Path("pid").write_text(str(os.getpid()))
    time.sleep(60)

def end(*_):
    print("asked to end", flush=True)
    sys.exit(7)

def show():
    print(Path.cwd(), os.environ["MARK"], "ONLY_OF_THE_SERVER" in os.environ, flush=True)

def linger():
    signal.signal(signal.SIGTERM, end)
    wait()

work = {"show": show, "fail": lambda: 1 / 0, "exit": lambda: sys.exit(3), "wait": wait, "linger": linger}
ForkServer(sys.argv[1], lambda: work[os.environ["WORK"]]()).serve()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs"


@pytest.fixture
def server(path):
    environment = {**os.environ, "ONLY_OF_THE_SERVER": "1"}
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(path)], env=environment)
    until(path.exists)
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def start(path, tmp_path, server):
    """Return a function that starts a client in a folder of its own, as Prefect's worker does."""
    started = []

    def start(work):
        folder = tmp_path / f"{work}-{len(started)}"
        folder.mkdir()
        environment = {**os.environ, FORK_SERVER: str(path), "WORK": work, "MARK": folder.name}
        command = [sys.executable, "-P", "-m", "flows.service.fork_client"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen(command, cwd=folder, env=environment, text=True, **pipes))
        started[-1].folder = folder
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_run_has_the_environment_the_folder_and_the_streams_of_its_client(start):
    client = start("show")

    assert client.communicate(timeout=30) == (f"{client.folder} show-0 False\n", "")
    assert client.returncode == 0


def test_runs_beside_each_other_keep_apart(start):
    waiting = start("wait")
    pid_of(waiting)
    others = [start("show"), start("show")]

    assert [other.communicate(timeout=30)[0].split()[1] for other in others] == ["show-1", "show-2"]
    assert waiting.poll() is None


@pytest.mark.parametrize(("work", "code", "said"), [("fail", 1, "ZeroDivisionError"), ("exit", 3, "")])
def test_its_errors_and_its_exit_code_are_those_of_the_client(start, work, code, said):
    client = start(work)

    assert said in client.communicate(timeout=30)[1]
    assert client.returncode == code


def test_a_signal_to_the_client_reaches_the_run_which_ends_as_it_likes(start):
    client = start("linger")
    pid_of(client)

    client.terminate()

    assert client.communicate(timeout=30)[0] == "asked to end\n"
    assert client.returncode == 7


def test_a_run_that_a_signal_ends_ends_its_client_by_the_same(start):
    client = start("wait")
    os.kill(pid_of(client), signal.SIGKILL)

    assert client.wait(30) == -signal.SIGKILL


def test_a_client_that_is_killed_takes_its_run_with_it_and_the_next_one_is_served(start):
    client = start("linger")
    pid = pid_of(client)

    client.kill()

    until(lambda: not psutil.pid_exists(pid))
    assert start("show").wait(30) == 0


def test_the_end_of_the_server_asks_its_runs_to_end_first(start, server):
    client = start("linger")
    pid_of(client)

    server.terminate()

    assert client.communicate(timeout=30)[0] == "asked to end\n"
    assert server.wait(30) == 0


def test_the_death_of_the_server_is_told(start, server):
    client = start("wait")
    pid = pid_of(client)

    server.kill()

    assert client.wait(30) == 1
    os.kill(pid, signal.SIGKILL)  # under `lidcflow up`, the guard above the server ends it
    assert "the process that starts runs could not start this one, or ended" in client.communicate(timeout=30)[1]


def test_a_run_that_can_not_be_forked_is_told_and_the_server_goes_on(start, server):
    idle = psutil.Process(server.pid).num_fds()
    waiting = start("wait")
    pid_of(waiting)
    until(lambda: psutil.Process(server.pid).num_fds() == idle + 3)  # its client, and multiprocessing's two ends of it

    with only_files(server, idle + 3 + 4):  # room for the next client and its three streams, not for its process
        refused = start("show")
        assert refused.wait(30) == 1

    assert start("show").wait(30) == 0
    assert waiting.poll() is None


def test_a_client_waits_while_the_server_has_no_room_for_it(start, server):
    waiting = start("wait")
    pid_of(waiting)

    with only_files(server, 3):
        late = start("show")
        with pytest.raises(subprocess.TimeoutExpired):
            late.wait(2)

    assert late.wait(30) == 0
    assert waiting.poll() is None


def test_without_a_server_the_client_turns_into_the_engine(tmp_path):
    environment = {**os.environ, FORK_SERVER: str(tmp_path / "none")}
    command = [sys.executable, "-P", "-m", "flows.service.fork_client"]

    engine = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert engine.returncode == 1
    assert "Invalid flow run id" in engine.stderr


@contextlib.contextmanager
def only_files(server, count):
    """Limit a server, for a while, to files whose numbers are below one."""
    process = psutil.Process(server.pid)
    before, most = process.rlimit(psutil.RLIMIT_NOFILE)
    process.rlimit(psutil.RLIMIT_NOFILE, (count, most))
    yield
    process.rlimit(psutil.RLIMIT_NOFILE, (before, most))


def pid_of(client):
    found = Path(client.folder, "pid")
    until(lambda: found.exists() and found.read_text())
    return int(found.read_text())


def until(condition, within_s=30.0):
    end_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.02)
