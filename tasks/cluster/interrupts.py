"""Ctrl-C reaches this process alone: it stops its children itself, in order."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker


@contextmanager
def shielding_children() -> Iterator[None]:
    """Start processes and threads in the block that a Ctrl-C on the terminal does not touch.

    A terminal sends the signal to all processes of a command at once. A worker would die with a traceback, and
    Prefect's temporary server would be gone before the run has told it that it was cancelled.
    """
    resource_tracker.ensure_running()  # multiprocessing starts it on first use, and then lets the signal through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
