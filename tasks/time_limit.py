"""A time limit for a piece of work in a worker process: what holds up a thread for good ends the process."""

import signal
import threading
import time
from collections.abc import Callable
from typing import TypeVar

Item = TypeVar("Item")

Result = TypeVar("Result")

_deadlines: dict[int, float] = {}

_lock = threading.Lock()


def within(limit_s: float, function: Callable[[Item], Result], item: Item) -> Result:
    """Apply a function to an item, and end this process if that takes longer than a limit.

    The kernel ends the process, for nothing else reaches a thread that is held up in a decoder or on a network
    file system: SIGALRM keeps its default action. A process has one timer, which runs to the earliest deadline of
    its threads.

    Parameters
    ----------
    limit_s : float
        Time for this item.
    function : callable
        Of one item.
    item : object
        What it is applied to.

    Examples
    --------
    >>> within(60.0, abs, -1)
    1
    """
    _set_deadline(time.monotonic() + limit_s)
    try:
        return function(item)
    finally:
        _set_deadline(None)


def _set_deadline(deadline_s: float | None) -> None:
    """Note until when this thread may take, and set the timer to whatever comes first."""
    with _lock:
        _deadlines.pop(threading.get_ident(), None)
        if deadline_s is not None:
            _deadlines[threading.get_ident()] = deadline_s
        first_s = min(_deadlines.values(), default=0.0)
        # A timer of 0 is none: one whose time has come already gets the shortest there is.
        signal.setitimer(signal.ITIMER_REAL, max(first_s - time.monotonic(), 1e-6) if _deadlines else 0.0)
