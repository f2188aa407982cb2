"""Attempt some work in a process of its own, so that its failure leaves the command as it was."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from types import FrameType
from typing import TypeVar

import psutil

from lidcflow.errors import LidcflowError
from lidcflow.orphans import end_with_parent

Result = TypeVar("Result")

LOOK_EVERY_S = 0.1
ENDS_WITHIN_S = 5.0


def can_fork() -> bool:
    """Return whether this process can be copied: on Linux, and while one thread runs."""
    return sys.platform == "linux" and threading.active_count() == 1


def attempted(work: Callable[[], Result], *, variables: dict[str, str], most_bytes: int | None) -> Result | None:
    """Return what a copy of this process makes of some work; None however it ends without a result.

    A decoder that crashes, a series that outgrows the memory and an unexpected error all end the copy alone: whoever
    asks then takes the long way, where each has its sentence. An error of lidcflow has one already, and is raised here.

    Parameters
    ----------
    work : callable
        Without arguments; what it returns goes through a pipe.
    variables : dict of str to str
        Of the copy's environment.
    most_bytes : int, optional
        Memory at which the copy is ended.

    Raises
    ------
    LidcflowError
        If the work raises it.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    copy = context.Process(target=_run, args=(work, variables, sender), daemon=False)
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        with warnings.catch_warnings():  # Python warns of threads of NumPy's BLAS, which survives a fork
            warnings.simplefilter("ignore", DeprecationWarning)
            copy.start()
        sender.close()
        return _received(receiver, copy, most_bytes)
    finally:
        copy.terminate()
        copy.join(ENDS_WITHIN_S)
        copy.kill()
        copy.join()
        signal.signal(signal.SIGTERM, before)


def _received(receiver: Connection, copy: multiprocessing.process.BaseProcess, most_bytes: int | None) -> Result | None:
    """Wait for the result, and end a copy that outgrows its memory."""
    watched = psutil.Process(copy.pid)
    while not receiver.poll(LOOK_EVERY_S):
        with suppress(psutil.Error):
            if most_bytes and watched.memory_info().rss > most_bytes:
                return None
    try:
        result: Result | LidcflowError = receiver.recv()
    except (EOFError, TypeError):  # no result, or an error that can't be sent
        return None
    copy.join(ENDS_WITHIN_S)
    if isinstance(result, LidcflowError):
        raise result
    return result


def _run(work: Callable[[], object], variables: dict[str, str], sender: Connection) -> None:
    signal.signal(signal.SIGTERM, _leave)
    end_with_parent()
    os.environ.update(variables)
    with suppress(Exception, KeyboardInterrupt):  # the long way has a sentence for whatever it was
        try:
            sender.send(work())
        except LidcflowError as error:
            sender.send(error)


def _leave(_signal: int, _frame: FrameType | None) -> None:
    """End by way of the blocks that clean up."""
    sys.exit(128 + signal.SIGTERM)
