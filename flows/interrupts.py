"""A Ctrl-C that Python could only report is raised again."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

AGAIN_AFTER_S = 0.05
"""Long enough for the main thread to leave the callback, and too short for a user to notice."""


@contextmanager
def keeping_interrupts() -> Iterator[None]:
    """Raise a KeyboardInterrupt again, in the main thread, that came where an exception goes no further.

    In a callback of the garbage collector (Dask measures every full collection in one), in ``__del__`` and in a
    callback of a weak reference, Python prints an exception and goes on: the user's Ctrl-C would be lost.
    """
    report = sys.unraisablehook

    def hook(ignored: "sys.UnraisableHookArgs") -> None:
        if not issubclass(ignored.exc_type, KeyboardInterrupt):
            report(ignored)
            return
        # Not at once: this hook is no better a place for an exception than the callback was.
        again = threading.Timer(AGAIN_AFTER_S, _interrupt_main_thread)
        again.daemon = True
        again.start()

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = report


def _interrupt_main_thread() -> None:
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)  # also ends a system call that waits
