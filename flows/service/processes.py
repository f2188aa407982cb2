"""Start, watch and stop the processes of `lidcflow up`, each under a guard of its own."""

import contextlib
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from flows.service.leftovers import SERVICE_MARK, WORKSPACE_MARK, kill_orphans

LOG_LIMIT_BYTES = 20_000_000
HEALTH_TIMEOUT_S = 5.0
KILLED_AT_MOST_S = 15.0


@dataclass(frozen=True, kw_only=True)
class ServiceProcess:
    """A process to keep running.

    Parameters
    ----------
    name : str
        As people read it.
    arguments : tuple of str
        What Python runs: ``("-m", "prefect", "server", "start")``.
    environment : mapping
        All of its environment.
    log : Path
        File that takes its output.
    health_url : str, optional
        Answers 200 when the service is ready; without one it is ready once started.
    stop_signal : str
        First signal of a stop.
    grace_s : float
        Seconds from the first signal to SIGKILL.
    """

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    log: Path
    health_url: str | None = None
    stop_signal: str = "SIGTERM"
    grace_s: float = 10.0


class Guarded:
    """A service that runs; its whole process tree ends with it, and with this process."""

    def __init__(self, service: ServiceProcess) -> None:
        self.service = service
        self._swept = False
        rotate(service.log)
        with service.log.open("ab") as log:
            log.write(f"\n--- {service.name}, started {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC\n".encode())
            log.flush()
            self._guard = subprocess.Popen(
                _guarded(service),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**service.environment, SERVICE_MARK: service.name},
                cwd=service.log.parent,
                start_new_session=True,
            )

    @property
    def exit_code(self) -> int | None:
        """Exit code once the whole tree has ended, None while it runs."""
        code = self._guard.poll()
        if code is not None:
            self._let_go()
            self._end_leftovers()
        return code

    def wait(self, timeout_s: float) -> bool:
        """Wait until the tree has ended; False when it still runs after the timeout."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._guard.wait(timeout_s)
        return self.exit_code is not None

    def stop(self) -> None:
        """End the tree: the stop signal, a grace period, SIGKILL."""
        self._let_go()
        self.wait(self.service.grace_s + KILLED_AT_MOST_S)

    def kill(self) -> None:
        """End the tree without grace; `stop` or `wait` then returns soon."""
        if self.exit_code is None:
            self._guard.send_signal(signal.SIGTERM)

    def healthy(self) -> bool:
        """Return whether the service answers."""
        return self.service.health_url is None or answers(self.service.health_url)

    def _end_leftovers(self) -> None:
        """End what a guard left that was killed, once: the port is needed when the service starts again."""
        workspace = self.service.environment.get(WORKSPACE_MARK)
        if workspace and not self._swept:
            kill_orphans({WORKSPACE_MARK: workspace, SERVICE_MARK: self.service.name})
        self._swept = True

    def _let_go(self) -> None:
        """Close the pipe that keeps the guard from ending its tree."""
        if self._guard.stdin:
            self._guard.stdin.close()


def answers(url: str) -> bool:
    """Return whether a server of this machine answers a GET with 200."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=HEALTH_TIMEOUT_S) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def tail(log: Path, lines: int = 15) -> list[str]:
    """Return the last lines of a log."""
    if not log.exists():
        return []
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - 200 * lines))
        return stream.read().decode(errors="replace").splitlines()[-lines:]


def _guarded(service: ServiceProcess) -> list[str]:
    """Put a guard before the command; ``-P`` keeps a folder called flows or mlflow nearby out of its imports."""
    guard = [sys.executable, "-P", "-m", "flows.service.guard", str(service.grace_s), service.stop_signal]
    return [*guard, sys.executable, "-P", *service.arguments]


def rotate(log: Path) -> None:
    """Make the folder of a log, and put a log that has become long aside."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".1.log"))
