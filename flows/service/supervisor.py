"""Keep services running: start, wait until they answer, start again after a death, stop in reverse order."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import NoReturn, Protocol

from flows.service.processes import Guarded, ServiceProcess, tail
from lidcflow.errors import ResourceError

START_LIMIT_S = 120.0
RESTART_DELAYS_S = (1.0, 5.0, 25.0)
RESTART_WINDOW_S = 600.0
POLL_S = 0.5


class ServiceListener(Protocol):
    """Shows users what happens to a service."""

    def __call__(self, service: str, state: str) -> None: ...


class ServiceFailed(ResourceError):
    """A service did not start or died too often.

    Parameters
    ----------
    sentence : str
        Which one, and where its log is.
    log_lines : list of str
        The end of its log.
    """

    def __init__(self, sentence: str, log_lines: list[str]) -> None:
        super().__init__(sentence)
        self.log_lines = log_lines


class Supervisor:
    """Services that run until the end of a ``with`` block.

    One that dies is started again after 1, 5 and 25 s; its fourth death within ten minutes ends everything.
    """

    def __init__(self, listener: ServiceListener) -> None:
        self._listener = listener
        self._running: list[Guarded] = []
        self._unheard: list[Guarded] = []
        self._before: dict[str, Callable[[], object]] = {}
        self._deaths_s: dict[str, list[float]] = {}
        self.stopping = False

    def __enter__(self) -> "Supervisor":
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self.stop()

    def start(self, service: ServiceProcess, *, before: Callable[[], object] = lambda: None) -> None:
        """Start a service; `before` runs first, at every start again too."""
        self._before[service.name] = before
        self._listener(service.name, "starting")
        before()
        self._running.append(Guarded(service))
        self._unheard.append(self._running[-1])

    def wait_until_healthy(self) -> None:
        """Wait until every service answers that was started since the last time.

        Raises
        ------
        ServiceFailed
            If one ends, or does not answer within two minutes.
        """
        deadline = time.monotonic() + START_LIMIT_S
        while self._unheard:
            for running in list(self._unheard):
                self._listen_for(running)
            if self._unheard and time.monotonic() > deadline:
                raise _failed(self._unheard[0], f"did not answer within {START_LIMIT_S:.0f} s")
            time.sleep(POLL_S if self._unheard else 0)

    def watch(self) -> NoReturn:
        """Start again what dies.

        Raises
        ------
        ServiceFailed
            If one dies too often.
        """
        while True:
            for place, running in enumerate(self._running):
                if running.exit_code is not None:
                    self._running[place] = self._started_again(running)
            time.sleep(POLL_S)

    def stop(self) -> None:
        """Stop everything, the last one started first."""
        self.stopping = True
        for running in reversed(self._running):
            self._listener(running.service.name, "stopping")
            running.stop()
            self._listener(running.service.name, "stopped")
        self._running.clear()

    def kill(self) -> None:
        """End a stop that is under way at once, without grace."""
        for running in self._running:
            running.kill()

    def _listen_for(self, running: Guarded) -> None:
        if running.exit_code is not None:
            raise _failed(running, f"ended with exit code {running.exit_code}")
        if running.healthy():
            self._listener(running.service.name, "running")
            self._unheard.remove(running)

    def _started_again(self, dead: Guarded) -> Guarded:
        service = dead.service
        delay_s = self._delay_s(dead)
        self._listener(service.name, f"died with exit code {dead.exit_code}; starts again in {delay_s:.0f} s")
        time.sleep(delay_s)
        self._before[service.name]()
        self._listener(service.name, "started again")
        return Guarded(service)

    def _delay_s(self, dead: Guarded) -> float:
        now_s = time.monotonic()
        recent = [death for death in self._deaths_s.get(dead.service.name, []) if now_s - death < RESTART_WINDOW_S]
        self._deaths_s[dead.service.name] = [*recent, now_s]
        if len(recent) == len(RESTART_DELAYS_S):
            raise _failed(dead, f"died {len(recent) + 1} times within {RESTART_WINDOW_S / 60:.0f} minutes")
        return RESTART_DELAYS_S[len(recent)]


@contextmanager
def stop_on_signals(supervisor: Supervisor) -> Iterator[None]:
    """Turn SIGINT, SIGTERM and SIGHUP into KeyboardInterrupt; during the stop, they skip the grace periods."""

    def handle(_: int, __: object) -> None:
        if not supervisor.stopping:
            raise KeyboardInterrupt
        supervisor.kill()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _failed(running: Guarded, what: str) -> ServiceFailed:
    log = running.service.log
    return ServiceFailed(f"the {running.service.name} must keep running, got one that {what}; see {log}", tail(log))
