"""Write aside, then rename: a reader sees a whole folder or none."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from lidcflow.errors import ResourceError

Result = TypeVar("Result")

STALE_S = 24 * 3600
"""Age at which what a killed writer left aside is removed; no series takes a day."""


@contextmanager
def committed(target: Path, aside: Path) -> Iterator[Path]:
    """Give a folder to write, and put it at `target` when the block ends well.

    Parameters
    ----------
    target : Path
        Where the folder appears, in a folder that is there; what was there before is replaced.
    aside : Path
        Folder on the same file system for what is not finished.

    Raises
    ------
    ResourceError
        If the disk is full.
    FileNotFoundError
        If the folder around `target` is gone.
    """
    draft = aside / f"{target.name}.{secrets.token_hex(8)}"
    draft.mkdir(parents=True)
    try:
        yield draft
        _flush(draft)
        _replace(draft, target, aside)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ResourceError(f"store {aside.parent}: the disk must have room, got none; free some space") from None
        raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _flush(folder: Path) -> None:
    """Bring the files to the disk first: after a power cut a renamed folder must not hold empty ones."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _replace(draft: Path, target: Path, aside: Path) -> None:
    """Rename; of two writers of one series the later one wins, each with a whole folder."""
    while True:
        try:
            draft.rename(target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            remove(target, aside)
        else:
            return


def read_whole(target: Path, read: Callable[[], Result]) -> Result:
    """Read from a committed folder, again when it was replaced meanwhile.

    Zarr takes a file that is gone for a chunk of fill values, so a replaced folder must not go unseen.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    """
    while True:
        before = _identity(target)
        try:
            result = read()
        except Exception:
            if _identity(target) == before:
                raise
        else:
            if _identity(target) == before:
                return result


def _identity(target: Path) -> tuple[int, int]:
    found = (target / "zarr.json").stat()
    return found.st_ino, found.st_mtime_ns


def remove(target: Path, aside: Path) -> None:
    """Take a folder out of sight at once, then delete it; what is gone already is gone."""
    grave = aside / f"{target.name}.{secrets.token_hex(8)}"
    aside.mkdir(parents=True, exist_ok=True)
    try:
        target.rename(grave)
    except FileNotFoundError:
        return
    shutil.rmtree(grave, ignore_errors=True)


def sweep(aside: Path) -> None:
    """Delete what killed writers left more than a day ago."""
    for leftover in aside.glob("*"):
        try:
            stale = time.time() - leftover.stat().st_mtime > STALE_S
        except FileNotFoundError:
            continue
        if stale:
            shutil.rmtree(leftover, ignore_errors=True)


def require_space(folder: Path, needed_bytes: int) -> None:
    """Refuse to start writing on a disk that will be full before the end.

    Raises
    ------
    ResourceError
        If the disk has less than `needed_bytes` and a reserve.
    """
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes + RESERVE_BYTES:
        raise ResourceError(
            f"store {folder}: the disk must have {(needed_bytes + RESERVE_BYTES) / 2**20:.0f} MiB free, "
            f"got {free_bytes / 2**20:.0f} MiB; free some space or choose another workspace"
        )


RESERVE_BYTES = 64 * 2**20
"""Left for catalog, logs and other writers."""
