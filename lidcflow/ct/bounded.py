"""Read headers within bounds, whatever a file claims to hold."""

from __future__ import annotations

from typing import BinaryIO, Protocol

HEADER_BYTES = 64 * 2**20
"""Read of one header at most; those of multi-frame objects take 2 to 8 KB a frame."""

HEADER_PIECES = 1_000_000
"""Reads of one header at most: pydicom makes two or three an element, and half a kilobyte of memory of each."""


class Stream(Protocol):
    """What pydicom needs of a file."""

    def read(self, n_bytes: int = -1, /) -> bytes: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...
    def tell(self) -> int: ...


class Budget:
    """How much may still be read of one header."""

    def __init__(self, n_bytes: int = HEADER_BYTES, pieces: int = HEADER_PIECES) -> None:
        self.n_bytes = n_bytes
        self.pieces = pieces

    def spend(self, n_bytes: int) -> None:
        """Take one read off.

        Raises
        ------
        ValueError
            If nothing is left.
        """
        self.n_bytes -= n_bytes
        self.pieces -= 1
        if self.n_bytes < 0 or self.pieces < 0:
            raise ValueError("a header must be no longer than a header is")


class BoundedStream:
    """A file that gives no more than a budget allows.

    Parameters
    ----------
    stream : file-like
        What is read.
    budget : Budget
        Shared by all streams of one header.
    """

    def __init__(self, stream: Stream | BinaryIO, budget: Budget) -> None:
        self._stream = stream
        self._budget = budget
        self.seek = stream.seek
        self.tell = stream.tell

    def read(self, n_bytes: int = -1, /) -> bytes:
        """Read at most `n_bytes`, and no more than the budget allows.

        Raises
        ------
        ValueError
            If the budget is spent.
        """
        most = self._budget.n_bytes + 1
        content = self._stream.read(min(n_bytes, most) if n_bytes >= 0 else most)
        self._budget.spend(len(content))
        return content
