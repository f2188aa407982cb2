"""Whatever is killed of a supervised tree, in whatever order: nothing is left, and the service comes back."""

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from flows.service.leftovers import GUARD_MODULE, SERVICE_MARK, WORKSPACE_MARK, kill_orphans

CHILD = "import socket, time; server = socket.create_server(('127.0.0.1', {port})); time.sleep(600)"
MAIN = f"import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', {CHILD!r}]).returncode)"
SUPERVISOR = """
import os, sys
from pathlib import Path
from flows.service import supervisor
from flows.service.processes import ServiceProcess

supervisor.RESTART_DELAYS_S = (0.1,) * 9
with supervisor.Supervisor(lambda *_: None) as running:
    for name, program in zip(("first", "second"), sys.argv[2:]):
        log = Path(sys.argv[1], f"{name}.log")
        environment = {**os.environ, "SERVED_BY_LIDCFLOW": sys.argv[1]}
        running.start(
            ServiceProcess(name=name, arguments=("-c", program), environment=environment, log=log, grace_s=1.0)
        )
    running.watch()
"""
WITHIN_S = 60.0


def wait_for(claim):
    deadline_s = time.monotonic() + WITHIN_S
    while not (found := claim()):
        assert time.monotonic() < deadline_s
        time.sleep(0.1)
    return found


def listens_at(port):
    """Return the process that listens at a port, None while nobody does."""
    for connection in psutil.net_connections("tcp4"):
        if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
            return connection.pid and psutil.Process(connection.pid)
    return None


def kill(process):
    """Kill a process; the end of another may have ended it already."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()


class Tree:
    """A supervisor of two services, each a guard, its command, and what that has started and listens at a port."""

    def __init__(self, folder, ports):
        self.marks = {WORKSPACE_MARK: str(folder)}
        self.ports = ports
        programs = [MAIN.format(port=port) for port in ports]
        self.supervisor = subprocess.Popen(
            [sys.executable, "-c", SUPERVISOR, str(folder), *programs],
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
            start_new_session=True,
        )

    def parts(self):
        """Return the processes of the first service and the supervisor by their names, once the child listens."""
        child = wait_for(lambda: listens_at(self.ports[0]))
        main = child.parent()
        guard = main.parent()
        assert GUARD_MODULE in guard.cmdline()
        return {"child": child, "main": main, "guard": guard, "supervisor": psutil.Process(self.supervisor.pid)}

    def living(self):
        """Return every process that the supervisor has started."""
        return [process for process in psutil.process_iter() if self._is_own(process)]

    def guards(self):
        """Return the guards among them."""
        found = []
        for process in self.living():
            with contextlib.suppress(psutil.NoSuchProcess):
                if GUARD_MODULE in process.cmdline():
                    found.append(process)
        return found

    def _is_own(self, process):
        try:
            return process.status() != psutil.STATUS_ZOMBIE and process.environ().items() >= self.marks.items()
        except (psutil.Error, OSError):
            return False


@pytest.fixture
def tree(tmp_path, unused_tcp_ports):
    made = Tree(tmp_path, unused_tcp_ports)
    yield made
    made.supervisor.kill()
    made.supervisor.wait()
    for process in made.living():
        kill(process)


@pytest.fixture
def unused_tcp_ports():
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]


@pytest.mark.parametrize(
    "victims", [order for count in (1, 2, 3) for order in itertools.permutations(("guard", "main", "child"), count)]
)
def test_a_service_comes_back_whatever_is_killed_of_it(tree, victims):
    before = tree.parts()

    for name in victims:
        kill(before[name])

    wait_for(lambda: not any(before[name].is_running() for name in ("guard", "main", "child")))
    after = tree.parts()
    assert after["child"] != before["child"]
    wait_for(lambda: len(tree.guards()) == 2)


@pytest.mark.parametrize(
    "victims",
    [("supervisor",), *itertools.permutations(("guard", "supervisor")), ("main", "guard", "supervisor")],
)
def test_nothing_is_left_when_the_supervisor_is_killed_too(tree, victims):
    parts = tree.parts()
    wait_for(lambda: listens_at(tree.ports[1]))

    for name in victims:
        kill(parts[name])

    wait_for(lambda: tree.living() == [])


def test_what_outlives_all_guards_and_the_supervisor_is_ended_by_the_next_one(tree):
    tree.parts()
    wait_for(lambda: listens_at(tree.ports[1]))
    guards = tree.guards()

    tree.supervisor.send_signal(signal.SIGSTOP)  # it would end what is left
    for process in guards:
        kill(process)
    tree.supervisor.kill()
    psutil.wait_procs(guards, timeout=WITHIN_S)
    left = wait_for(lambda: [one for one in map(listens_at, tree.ports) if one])

    assert kill_orphans(tree.marks) >= len(left)
    assert tree.living() == []


def test_what_a_living_guard_keeps_and_what_has_no_mark_is_left_alone(tree):
    parts = tree.parts()

    assert kill_orphans(tree.marks) == 0
    assert kill_orphans({**tree.marks, SERVICE_MARK: "first"}) == 0
    assert kill_orphans({WORKSPACE_MARK: "another workspace"}) == 0
    assert parts["child"].is_running()
