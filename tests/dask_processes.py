"""Dask schedulers and workers as processes of their own, started as an administrator would."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
STARTED_WITHIN_S = 60.0


@contextmanager
def scheduler(folder: Path, *options: str, settings: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run ``dask scheduler`` on a free port of the loopback interface, and give its address."""
    log = folder / "scheduler.log"
    listening = ["scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", *options]
    with process(listening, log, settings or {}):
        yield wait_for(log, r"Scheduler at:\s+(\S+)")


@contextmanager
def worker(
    address: str,
    folder: Path,
    name: str,
    *options: str,
    settings: Mapping[str, str] | None = None,
    within: Sequence[str] = (),
) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``dask worker`` until the block ends; `within` is a command that runs it, as ``unshare -m``."""
    log = folder / f"{name}.log"
    one = ["worker", address, "--name", name, "--nthreads", "1", "--no-dashboard", "--local-directory", str(folder)]
    with process([*one, *options], log, settings or {}, within=within) as running:
        wait_for(log, "Registered to:")
        yield running


@contextmanager
def process(
    arguments: Sequence[str], log: Path, settings: Mapping[str, str], *, within: Sequence[str] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a ``dask`` command in a session of its own, and end all of it."""
    paths = [settings.get("PYTHONPATH", ""), str(ROOT)]
    # A local cluster of an earlier test has left its own words about logging in the environment.
    own = {"DASK_LOGGING__DISTRIBUTED": "info", **settings, "PYTHONPATH": ":".join(filter(None, paths))}
    environment = {**os.environ, **own}
    with (
        log.open("wb") as out,
        subprocess.Popen(
            [*within, sys.executable, "-P", "-m", "dask", *arguments],
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        ) as running,
    ):
        try:
            yield running
        finally:
            os.killpg(running.pid, signal.SIGKILL)


def wait_for(log: Path, pattern: str) -> str:
    """Wait until a log has a line, and return its last group."""
    deadline_s = time.monotonic() + STARTED_WITHIN_S
    while not (found := re.search(pattern, log.read_text(errors="replace"))):
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"{log.name}: must say {pattern!r}, got {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.1)
    return found[found.lastindex or 0]
