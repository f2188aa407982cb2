"""Fork a process that has imported everything, for clients that stand for the forks: `flows.service.fork_client`."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import selectors
import signal
import socket
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import NoReturn

from flows.service.fork_client import EXIT_CODE, LENGTH

STREAMS = 3
ASKED_WITHIN_S = 5.0
"""Time for a client to send its request; it does so at once, and others wait meanwhile."""

ACCEPTED_AGAIN_AFTER_S = 0.1
"""Pause before a client that could not be accepted is tried again; the signals of others wait meanwhile."""


@dataclass(frozen=True)
class Request:
    """Environment, folder and standard streams of a run."""

    environment: Mapping[str, str]
    folder: str
    streams: tuple[int, ...]


class ForkServer:
    """Runs that are forked from this process, each for a client that stays connected.

    Parameters
    ----------
    path : str
        Where the socket is made; its folder must be one that only this user can enter.
    work : callable
        What a run does, in the environment and folder of its client.
    """

    def __init__(self, path: str, work: Callable[[], object]) -> None:
        self._work = work
        self._runs: dict[socket.socket, ForkProcess] = {}
        self._selector = selectors.DefaultSelector()
        Path(path).unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(path)
        self._listener.listen()
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def serve(self) -> NoReturn:
        """Start what clients ask for, until SIGTERM, which the runs get too."""
        signal.signal(signal.SIGTERM, self._stop)
        while True:
            for key, _ in self._selector.select():
                key.data()

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:  # no room for another open file, or the client went away; one that waits is accepted later
            time.sleep(ACCEPTED_AGAIN_AFTER_S)
            return
        try:
            request = receive(client)
        except (OSError, ValueError, KeyError):  # the client went away: whoever started it knows
            client.close()
            return
        run = multiprocessing.get_context("fork").Process(target=self._run, args=(client, request))
        with warnings.catch_warnings():
            # NumPy's linear algebra has threads of its own here; it starts new ones in a fork.
            warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
            try:
                run.start()
            except OSError:  # no room for another process: this client reports it, and the runs of others go on
                client.close()
                return
            finally:
                for stream in request.streams:
                    os.close(stream)
        self._runs[client] = run
        self._selector.register(client, selectors.EVENT_READ, lambda: self._listen(client))
        self._selector.register(run.sentinel, selectors.EVENT_READ, lambda: self._answer(client))

    def _listen(self, client: socket.socket) -> None:
        """Send a run the signals that its client gets; a client that was killed takes its run with it."""
        run = self._runs.get(client)
        if run is None:  # it ended in the same moment
            return
        try:
            numbers = client.recv(16)
        except OSError:
            numbers = b""
        if not numbers:
            self._selector.unregister(client)
            run.kill()
        for number in numbers:
            os.kill(run.pid or 0, number)  # `_answer` has not collected it yet: nobody else has its number

    def _answer(self, client: socket.socket) -> None:
        """Send a client the exit code of its run, which has ended."""
        run = self._runs.pop(client)
        self._selector.unregister(run.sentinel)
        run.join()
        if client in self._selector.get_map():
            self._selector.unregister(client)
        with client, contextlib.suppress(OSError):
            client.sendall(EXIT_CODE.pack(run.exitcode or 0))
        run.close()

    def _run(self, client: socket.socket, request: Request) -> None:
        """Do the work, in the forked process."""
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._selector.close()
        for connection in (self._listener, client, *self._runs):
            connection.close()
        take_over(request)
        self._work()

    def _stop(self, *_: object) -> NoReturn:
        for run in self._runs.values():
            run.terminate()
        sys.exit(0)  # once the runs have ended: multiprocessing waits for them


def receive(client: socket.socket) -> Request:
    """Receive a request with its streams.

    Raises
    ------
    OSError, ValueError, KeyError
        If it is not one, or not whole.
    """
    client.settimeout(ASKED_WITHIN_S)
    length, streams, _, _ = socket.recv_fds(client, LENGTH.size, STREAMS)
    try:
        if len(length) < LENGTH.size or len(streams) != STREAMS:
            raise ValueError("a request must begin with its length and three streams")
        (size,) = LENGTH.unpack(length)
        asked = json.loads(client.recv(size, socket.MSG_WAITALL))
        request = Request(asked["environment"], asked["folder"], tuple(streams))
    except BaseException:
        for stream in streams:
            os.close(stream)
        raise
    client.settimeout(None)
    return request


def take_over(request: Request) -> None:
    """Replace the streams, the environment and the folder of this process by those of a request."""
    for number, stream in enumerate(request.streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(request.environment)
    os.chdir(request.folder)
    sys.argv[1:] = []
