"""End what a killed guard leaves behind: processes are found by the marks in their environment.

A guard that is killed takes its command with it, but not what that command has started: MLflow's server keeps its port
through the child that listens. Whoever notices ends those: the supervisor before it starts the service again, the
other guards when the supervisor is gone as well, and at the latest the next `lidcflow up` of the workspace.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping

import psutil

WORKSPACE_MARK, SERVICE_MARK = "SERVED_BY_LIDCFLOW", "SERVICE_OF_LIDCFLOW"
GUARD_MODULE = "flows.service.guard"
TICK_S = 0.1
KILLED_WITHIN_S = 10.0


def kill_orphans(marks: Mapping[str, str], *, wait_for_guards_s: float = 0.0) -> int:
    """Kill every process that has the marks and no guard above it; return how many there were.

    Parameters
    ----------
    marks : mapping
        Environment variables that must have these values: `WORKSPACE_MARK`, and `SERVICE_MARK` for one service.
    wait_for_guards_s : float
        Time for guards with the marks to end what they guard.
    """
    killed: set[psutil.Process] = set()
    started_s = time.monotonic()
    while waited_for := _marked(marks):
        leftovers = [process for process in waited_for if not _is_guarded(process)]
        for process in leftovers:
            with contextlib.suppress(psutil.Error):
                process.kill()
                killed.add(process)
        limit_s = KILLED_WITHIN_S if leftovers else wait_for_guards_s
        if time.monotonic() - started_s >= limit_s:
            break
        time.sleep(TICK_S)
    return len(killed)


def _marked(marks: Mapping[str, str]) -> list[psutil.Process]:
    """Return the processes with the marks, without this one and those that started it."""
    own = {os.getpid(), *(process.pid for process in psutil.Process().parents())}
    return [process for process in _processes() if process.pid not in own and _has(process, marks)]


def _processes() -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE:
                yield process


def _has(process: psutil.Process, marks: Mapping[str, str]) -> bool:
    with contextlib.suppress(psutil.Error, OSError):
        environment = process.environ()
        return all(environment.get(name) == value for name, value in marks.items())
    return False


def _is_guarded(process: psutil.Process) -> bool:
    """Return whether a process is a guard, or below one."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return any(_is_guard(one) for one in (process, *process.parents()))
    return True


def _is_guard(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return GUARD_MODULE in process.cmdline()
    return False
