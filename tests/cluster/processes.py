"""Servers of the tests as plain processes: each with its log, ended with all of its children however the tests end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

STARTS_WITHIN_S, ENDS_WITHIN_S = 180.0, 20.0


@dataclass
class Server:
    """One process that can be started, stopped, killed, and started again.

    Parameters
    ----------
    name : str
        Names its log.
    command : sequence of str
        Exact arguments.
    environment : mapping
        All of it; nothing is inherited.
    folder : Path
        Where it runs and its log lies.
    answers : callable
        Tells whether it does.
    wrapper : sequence of str
        What the command runs under, as ``unshare -m``.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    answers: Callable[[], bool] = lambda: True
    wrapper: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    wanted: bool = field(default=False, init=False)

    @property
    def log(self) -> Path:
        """What it has said."""
        return self.folder / f"{self.name}.log"

    @property
    def pid(self) -> int:
        """Number of its first process."""
        assert self.process is not None, f"{self.name} must run"
        return self.process.pid

    def start(self, *, wait: bool = True) -> Server:
        """Start it, and wait until it answers; from now on a keeper starts it again when it ends by itself."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.wrapper, "setpriv", "--pdeathsig", "KILL", *self.command],
                cwd=self.folder,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.wanted = True
        if wait:
            self.wait()
        return self

    def wait(self) -> None:
        """Wait until it answers."""
        wait_for(self.answers, STARTS_WITHIN_S, lambda: f"{self.name} must answer; {self.tail()}", self.is_running)

    def is_running(self) -> bool:
        """Return whether its first process is there."""
        return self.process is not None and self.process.poll() is None

    def family(self) -> list[psutil.Process]:
        """Return its processes, the first one and what that started."""
        if not self.is_running():
            return []
        first = psutil.Process(self.pid)
        return [first, *first.children(recursive=True)]

    def kill(self) -> None:
        """End all of its processes at once, as a power cut does, and leave it so."""
        self.wanted = False
        family = self.family()
        for process in family:
            _send(process, signal.SIGKILL)
        psutil.wait_procs(family, timeout=ENDS_WITHIN_S)
        if self.process is not None:
            self.process.wait(ENDS_WITHIN_S)

    def stop(self) -> None:
        """End it politely, and what does not end then at once; leave it so."""
        self.wanted = False
        family = self.family()
        if family:
            _send(family[0], signal.SIGTERM)
            psutil.wait_procs(family[:1], timeout=ENDS_WITHIN_S)
        for process in family:
            _send(process, signal.SIGKILL)
        psutil.wait_procs(family, timeout=ENDS_WITHIN_S)
        if self.process is not None:
            self.process.wait(ENDS_WITHIN_S)

    def tail(self, size: int = 4000) -> str:
        """Return the end of its log."""
        return self.log.read_text(errors="replace")[-size:] if self.log.exists() else ""


@contextmanager
def keeper(servers: Mapping[str, Server]) -> Iterator[None]:
    """Start again what ends by itself, as a container engine does, while the block runs."""
    over = threading.Event()

    def keep() -> None:
        while not over.wait(0.5):
            for server in list(servers.values()):
                if server.wanted and not server.is_running():
                    server.start(wait=False)

    thread = threading.Thread(target=keep, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _send(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def wait_for(
    claim: Callable[[], object],
    limit_s: float,
    why: Callable[[], str] = lambda: "",
    alive: Callable[[], bool] = lambda: True,
) -> float:
    """Wait until a claim holds, and return how long that took.

    Raises
    ------
    AssertionError
        If it does not within the limit, or who should make it true is gone.
    """
    started_s = time.monotonic()
    while not claim():
        assert alive(), f"must keep running; {why()}"
        assert time.monotonic() - started_s < limit_s, f"must happen within {limit_s:.0f} s; {why()}"
        time.sleep(0.2)
    return time.monotonic() - started_s


def free_port(host: str) -> int:
    """Return a port of an address that nobody listens on."""
    with socket.create_server((host, 0)) as probe:
        return int(probe.getsockname()[1])


def listens(host: str, port: int) -> bool:
    """Return whether somebody takes connections there."""
    try:
        with socket.create_connection((host, port), timeout=2):
            return True
    except OSError:
        return False


def environment(**settings: str) -> dict[str, str]:
    """Return what a server needs of this environment, and settings of its own."""
    kept = ("PATH", "HOME", "LANG", "PYTHONPATH", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ} | settings
