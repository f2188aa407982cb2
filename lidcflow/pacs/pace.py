"""Limit the time of a whole answer: httpx limits each read of a socket, which a slow server never exceeds."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

from lidcflow.config.service import PacsConfig
from lidcflow.pacs.retry import Passing

TIMEOUTS_AHEAD = 2
"""An answer may fall behind its slowest rate by this many timeouts: one to begin, and one to pause."""

WRITTEN_AT_ONCE = 2**14
"""Bytes between two looks at the clock while a request is sent."""

_local = threading.local()


class Pace:
    """The time that one request and its answer may still take; each byte adds to it.

    Time counts while this process waits for the network, so that slow work on what has come costs the server nothing.

    Parameters
    ----------
    config : PacsConfig
        Of the service: its timeout and its slowest rate.
    sent_bytes : int
        Size of the request's body.
    """

    def __init__(self, config: PacsConfig, sent_bytes: int = 0) -> None:
        self._rate = 1024 * config.slowest_kib_s
        self._most_s = TIMEOUTS_AHEAD * config.timeout_s
        self._left_s = self._most_s + sent_bytes / self._rate
        self._slow = Passing(f"an answer slower than {config.slowest_kib_s:g} KiB/s")

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Limit what is read and written in this thread while the block runs.

        Raises
        ------
        Passing
            If the time is used up.
        """
        begun_s = time.monotonic()
        _local.deadline_s, _local.error = begun_s + self._left_s, self._slow
        try:
            yield
        finally:
            _local.deadline_s = None
            self._left_s -= time.monotonic() - begun_s

    def came(self, n_bytes: int) -> None:
        """Add the time that bytes may take; unused time is not saved up, or a trickle could follow a burst."""
        self._left_s = min(self._left_s + n_bytes / self._rate, self._most_s)


class PacedTransport(httpx.HTTPTransport):
    """httpx's transport over sockets that keep to the deadline of their thread.

    Parameters
    ----------
    context : SSLContext
        Checks certificates.
    connections : int
        Most of them at a time.
    """

    def __init__(self, context: ssl.SSLContext, connections: int) -> None:
        super().__init__(verify=context, trust_env=False)
        self._pool = httpcore.ConnectionPool(
            ssl_context=context, max_connections=connections, network_backend=_PacedBackend()
        )


class _PacedBackend(httpcore.NetworkBackend):
    def __init__(self) -> None:
        self._own = httpcore.SyncBackend()

    def connect_tcp(self, *args: Any, **options: Any) -> httpcore.NetworkStream:
        return _PacedStream(self._own.connect_tcp(*args, **options))

    def sleep(self, seconds: float) -> None:
        self._own.sleep(seconds)


class _PacedStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._own = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with _told_when_late():
            return self._own.read(max_bytes, _cut(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        view = memoryview(buffer)
        with _told_when_late():
            for start in range(0, len(view), WRITTEN_AT_ONCE):
                self._own.write(bytes(view[start : start + WRITTEN_AT_ONCE]), _cut(timeout))

    def close(self) -> None:
        self._own.close()

    def start_tls(self, *args: Any, **options: Any) -> httpcore.NetworkStream:
        return _PacedStream(self._own.start_tls(*args, **options))

    def get_extra_info(self, info: str) -> Any:
        return self._own.get_extra_info(info)


def _left_s() -> float | None:
    deadline_s = getattr(_local, "deadline_s", None)
    return None if deadline_s is None else deadline_s - time.monotonic()


def _cut(timeout_s: float | None) -> float | None:
    """Shorten a timeout to what is left.

    Raises
    ------
    Passing
        If nothing is left.
    """
    left_s = _left_s()
    if left_s is None:
        return timeout_s
    if left_s <= 0:
        raise _local.error
    return left_s if timeout_s is None else min(timeout_s, left_s)


@contextmanager
def _told_when_late() -> Iterator[None]:
    """Raise that an answer is too slow if a shortened timeout ended it."""
    try:
        yield
    except (httpcore.ReadTimeout, httpcore.WriteTimeout):
        left_s = _left_s()
        if left_s is not None and left_s <= 0:
            raise _local.error from None
        raise


def paced(chunks: Iterable[bytes], pace: Pace) -> Iterator[bytes]:
    """Yield what comes, as long as it comes fast enough.

    Raises
    ------
    Passing
        If it does not.
    """
    coming = iter(chunks)
    while True:
        with pace.waiting():
            chunk = next(coming, None)
        if chunk is None:
            return
        pace.came(len(chunk))
        yield chunk
