"""Connections that end: time limits that uvicorn does not have, and room for one more client however many wait.

uvicorn closes a connection that is idle between two requests. It waits for ever for the head of a request, for its
body, and for a client to take an answer.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_WITHIN_S = 15.0
"""Longest time from the start of a connection, or from the last answer, to the end of a request of at most 4 KiB."""

ANSWER_WITHIN_S = 30.0
SLOWEST_BYTES_S = 16 * 1024
"""An answer must be taken within this time and what its bytes take at this rate: a volume of 4 MiB within 286 s."""

MOST_CONNECTIONS = 128
"""Most connections: one more closes the connection that has waited longest for its client. A browser opens six."""

CHECK_EVERY_S = 0.5


class ReportsProtocol(H11Protocol):
    """HTTP/1.1 of uvicorn with a deadline for the whole request and for the whole answer."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._check: asyncio.TimerHandle | None = None
        self._request_by_s = 0.0
        self._taken_by_s: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to count, and close another connection where there are too many."""
        super().connection_made(transport)
        self._await_request()
        self._check = self.loop.call_later(CHECK_EVERY_S, self._close_if_late)
        if len(self.connections) > MOST_CONNECTIONS:
            _close_longest_waiting(self.connections)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop counting."""
        if self._check:
            self._check.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Start the deadline of the next request."""
        self._await_request()
        super().on_response_complete()

    @property
    def waits_until_s(self) -> float | None:
        """When it stops waiting for its client; None while the server itself is at work."""
        if self._taken_by_s is not None:
            return self._taken_by_s
        return self._request_by_s if self.conn.their_state in (h11.IDLE, h11.SEND_BODY) else None

    def _await_request(self) -> None:
        self._request_by_s = self.loop.time() + REQUEST_WITHIN_S

    def _close_if_late(self) -> None:
        """Look at the clock; an answer that was not taken is dropped, or closing would wait for its client too."""
        untaken = self.transport.get_write_buffer_size()
        if not untaken:
            self._taken_by_s = None
        elif self._taken_by_s is None:
            self._taken_by_s = self.loop.time() + ANSWER_WITHIN_S + untaken / SLOWEST_BYTES_S
        if self.waits_until_s is not None and self.loop.time() > self.waits_until_s:
            self.transport.abort()
        else:
            self._check = self.loop.call_later(CHECK_EVERY_S, self._close_if_late)


def _close_longest_waiting(connections: set[Any]) -> None:
    """Close the connection that has waited longest for its client; one whose request is being answered stays."""
    waiting = [one for one in connections if one.waits_until_s is not None]
    min(waiting, key=lambda one: one.waits_until_s).transport.abort()
