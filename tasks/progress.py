"""Report the progress of stages to listeners, such as a terminal; without a listener nothing is reported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import RLock
from typing import Protocol, runtime_checkable


@dataclass(eq=False)
class Stage:
    """A named piece of work and how much of it is done.

    Parameters
    ----------
    name : str
        What people read, such as ``"preprocess"``.
    total : int or None
        Steps of the whole; None while nobody knows.
    """

    name: str
    total: int | None = None
    done: int = 0

    def advance(self, steps: int = 1) -> None:
        """Count `steps` more as done; safe to call from any thread."""
        with _lock:
            self.reach(self.done + steps, self.total)

    def reach(self, done: int, total: int | None) -> None:
        """Set how much is done and the total, as functions report that count by themselves."""
        with _lock:
            self.done, self.total = done, total
            _tell("advanced", self)


class Listener(Protocol):
    """Receives the events of stages; every method must return at once."""

    def started(self, stage: Stage) -> None:
        """Show a new stage."""

    def advanced(self, stage: Stage) -> None:
        """Show its new count."""

    def finished(self, stage: Stage) -> None:
        """Show that it ended, however far it came."""


@runtime_checkable
class Reader(Protocol):
    """A listener that also shows sentences between the stages, as a terminal does."""

    def noticed(self, sentence: str) -> None:
        """Show a sentence."""


_listeners: list[Listener] = []
_lock = RLock()


@contextmanager
def stage(name: str, total: int | None = None) -> Iterator[Stage]:
    """Announce a stage to the listeners for as long as the block runs.

    Examples
    --------
    >>> with stage("preprocess", total=2) as preprocessing:
    ...     preprocessing.advance()
    >>> preprocessing.done
    1
    """
    announced = Stage(name, total)
    _tell("started", announced)
    try:
        yield announced
    finally:
        _tell("finished", announced)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Notify `listener` of every stage of this process while the block runs."""
    with _lock:
        _listeners.append(listener)
    try:
        yield
    finally:
        with _lock:
            _listeners.remove(listener)


def notice(sentence: str) -> None:
    """Show a sentence to those listeners that show sentences; safe to call from any thread."""
    with _lock:
        for listener in _listeners:
            if isinstance(listener, Reader):
                listener.noticed(sentence)


def _tell(what: str, announced: Stage) -> None:
    with _lock:
        for listener in _listeners:
            getattr(listener, what)(announced)
