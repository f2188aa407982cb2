"""Set aside what would fill the memory: in a file without a name, which goes with the process."""

from __future__ import annotations

import os
import tempfile
import weakref
import zlib
from pathlib import Path
from threading import Lock
from typing import IO, NamedTuple

from lidcflow.disk import naming_disk_faults

MEMORY_BYTES = 16 * 2**20
"""Bytes kept in memory before the file is made, so that a small source writes none."""

VAR_TMP = Path("/var/tmp")  # noqa: S108  a place for large files by the Filesystem Hierarchy Standard; nothing is named
"""Default folder of the file, unless TMPDIR names another: /tmp is in memory on many machines."""


class Place(NamedTuple):
    """Place of an entry in a spool."""

    start: int
    n_bytes: int


class Spool:
    """Compressed bytes by place, in memory while they are few and then in a file that no other process can open.

    Parameters
    ----------
    memory_bytes : int
        Size from which they lie in the file.

    Examples
    --------
    >>> spool = Spool()
    >>> spool.get(spool.put(b"header"))
    b'header'
    """

    def __init__(self, memory_bytes: int = MEMORY_BYTES) -> None:
        self._memory_bytes = memory_bytes
        self._held = bytearray()
        self._file: IO[bytes] | None = None
        self._end = 0
        self._lock = Lock()

    def put(self, content: bytes) -> Place:
        """Set bytes aside.

        Raises
        ------
        ResourceError
            If the disk is full.
        """
        content = zlib.compress(content, level=1)
        with self._lock:
            place = Place(self._end, len(content))
            if self._file is None and self._end + len(content) <= self._memory_bytes:
                self._held += content
            else:
                self._write(content)
            self._end += len(content)
        return place

    def get(self, place: Place) -> bytes:
        """Return what lies at a place."""
        start, stop = place.start, place.start + place.n_bytes
        with self._lock:
            if self._file is None:
                return zlib.decompress(self._held[start:stop])
            self._file.seek(start)
            content = self._file.read(place.n_bytes)
        return zlib.decompress(content)

    def _write(self, content: bytes) -> None:
        folder = spool_folder()
        with naming_disk_faults(f"folder {folder} (TMPDIR names another)"):
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  closed with the spool
                weakref.finalize(self, self._file.close)
                self._file.write(self._held)
                self._held = bytearray()
            self._file.seek(self._end)
            self._file.write(content)


def spool_folder() -> Path:
    """Return the folder of the file: TMPDIR, else /var/tmp where that can be written, else the system's choice."""
    if "TMPDIR" not in os.environ and os.access(VAR_TMP, os.W_OK | os.X_OK):
        return VAR_TMP
    return Path(tempfile.gettempdir())
