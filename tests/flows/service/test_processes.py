"""A service and everything that it starts end together."""

import signal
import subprocess
import sys
import time

import psutil

from flows.service.processes import Guarded, tail

ORPHAN = "import os, signal, time; signal.signal(15, signal.SIG_IGN); print(os.getpid(), flush=True); time.sleep(60)"
STUBBORN_ORPHAN = f"""
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "{ORPHAN}"], start_new_session=True)
time.sleep(%s)
"""

PARENT = """
import os, sys, time
from pathlib import Path
from flows.service.processes import Guarded, ServiceProcess
program, log = sys.argv[1], Path(sys.argv[2])
it = Guarded(ServiceProcess(name="it", arguments=("-c", program), environment=dict(os.environ), log=log, grace_s=0.2))
time.sleep(60)
"""


def pid_in(log):
    """Wait for the number that a process writes in its log."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        numbers = [line for line in log.read_text().splitlines() if line.isdecimal()] if log.exists() else []
        if numbers:
            return int(numbers[0])
        time.sleep(0.02)
    raise TimeoutError(log)


def gone(pid):
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not psutil.pid_exists(pid)


def test_a_stop_ends_an_orphan_that_ignores_sigterm_in_a_session_of_its_own(service):
    running = Guarded(service(STUBBORN_ORPHAN % 60))
    orphan = pid_in(running.service.log)

    running.stop()

    assert running.exit_code == 128 + signal.SIGTERM
    assert not psutil.pid_exists(orphan)


def test_a_service_that_ends_takes_what_it_leaves_behind_with_it(service):
    running = Guarded(service(STUBBORN_ORPHAN % 1 + "sys.exit(3)"))
    orphan = pid_in(running.service.log)

    assert running.wait(20)
    assert running.exit_code == 3
    assert gone(orphan)


def test_nothing_survives_a_kill_9_of_the_one_that_started_it(tmp_path):
    log = tmp_path / "it.log"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, STUBBORN_ORPHAN % 60, str(log)])
    orphan = pid_in(log)

    parent.kill()
    parent.wait()

    assert gone(orphan)


def test_a_killed_stop_takes_no_grace(service):
    running = Guarded(service(STUBBORN_ORPHAN % 60, grace_s=60))
    orphan = pid_in(running.service.log)

    running.kill()

    assert running.wait(10)
    assert gone(orphan)


def test_the_tail_of_a_log_is_its_last_lines(tmp_path):
    log = tmp_path / "it.log"
    log.write_text("".join(f"line {number}\n" for number in range(1000)))

    assert tail(log, lines=2) == ["line 998", "line 999"]
    assert tail(tmp_path / "none.log") == []
