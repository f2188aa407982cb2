"""Check before work starts that folders can be written, with one sentence where they cannot."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lidcflow.errors import ResourceError

FULL = (errno.ENOSPC, errno.EDQUOT)
UNWRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)
DAMAGED = (errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ENODEV, errno.ENXIO, errno.EHOSTDOWN, errno.ETIMEDOUT)
"""Error numbers of a failing disk or a network share that became unavailable."""

IMPOSSIBLE = (errno.ENAMETOOLONG, errno.ELOOP)
"""Error numbers of a path that no file can have, such as a sentence in place of a path."""

PROBE_BYTES = 4096


@contextmanager
def naming_disk_faults(where: str) -> Iterator[None]:
    """Raise one sentence for whatever keeps a place from being written: that is the fault of no series.

    Parameters
    ----------
    where : str
        The place as sentences call it, such as ``store /data/store``.

    Raises
    ------
    ResourceError
        If the disk is full, read-only, damaged or away.
    FileNotFoundError
        If what is written to is gone: the caller knows what that means.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ResourceError(_sentence(where, error)) from None


def disk_fault(error: OSError) -> str | None:
    """Return the sentence for an error of a disk, None for any other.

    The path is named only where the disk itself refuses to be written: that of a source may hold a name.
    """
    if error.errno in (*FULL, errno.EROFS):
        return _sentence(str(error.filename or "disk"), error)
    if error.errno in (*UNWRITABLE, *DAMAGED):
        return _sentence("a file or folder", error)
    if error.errno in IMPOSSIBLE:
        return f"path: must be one that a file can have, got {os.strerror(error.errno)!r}; check what was named"
    return None


def require_writable(folder: Path, where: str, *, way_out: str, room_bytes: int = 0) -> None:
    """Make sure, by writing, that a folder can be written; it is made where it is lacking.

    Parameters
    ----------
    folder : Path
        The folder.
    where : str
        The folder as sentences call it.
    way_out : str
        What people can do instead of mending it.
    room_bytes : int
        Room that must be free.

    Raises
    ------
    ResourceError
        If it can't be made or written, or has less room.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder, prefix=".writable-") as probe:
            probe.write(bytes(PROBE_BYTES))
            probe.flush()
            os.fsync(probe.fileno())
        free_bytes = shutil.disk_usage(folder).free
    except OSError as error:
        raise ResourceError(_sentence(where, error, way_out)) from None
    if free_bytes < room_bytes:
        raise ResourceError(
            f"{where}: the disk must have {room_bytes / 2**20:.0f} MiB free, got {free_bytes / 2**20:.0f} MiB; "
            f"free some space, or {way_out}"
        )


def require_temporary_folder(room_bytes: int) -> None:
    """Make sure that the folder for temporary files is there and has room.

    Raises
    ------
    ResourceError
        If it is not, or has less.
    """
    way_out = "set TMPDIR to another folder"
    try:
        folder = Path(tempfile.gettempdir())
    except FileNotFoundError:
        raise ResourceError(
            f"temporary files: there must be a folder that can be written, got none; {way_out}"
        ) from None
    require_writable(folder, f"temporary files {folder}", way_out=way_out, room_bytes=room_bytes)


def nearest_folder(path: Path) -> Path:
    """Return a folder, or the nearest one above it that exists."""
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _sentence(where: str, error: OSError, way_out: str = "") -> str:
    rather = f", or {way_out}" if way_out else ""
    if error.errno in FULL:
        return f"{where}: the disk must have room, got none; free some space{rather}"
    reason = os.strerror(error.errno) if error.errno else type(error).__name__
    return f"{where}: must be writable, got {reason}; change its permissions or repair the disk{rather}"
