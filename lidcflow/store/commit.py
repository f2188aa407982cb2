"""Atomic writes of folders: write a draft elsewhere, then rename it, so that a reader sees all of it or nothing."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from lidcflow.disk import naming_disk_faults
from lidcflow.errors import ResourceError
from lidcflow.file_lock import try_lock
from lidcflow.store.place import Result, Swept

STALE_S = 24 * 3600
"""Age from which a draft counts as dead where the file system has no locks; no series takes a day."""

SMALL_FILE_S = 3600
"""Age from which the draft of a small file counts as dead."""

_DRAFT = re.compile(r".+\.[0-9a-f]{16}")


@contextmanager
def committed(
    target: Path, aside: Path, *, changing: Callable[[], AbstractContextManager[None]] = nullcontext
) -> Iterator[Path]:
    """Yield a folder to write to, and move it to `target` when the block ends without an error.

    Parameters
    ----------
    target : Path
        Where the folder appears, in a folder that is there; what was there before is replaced.
    aside : Path
        Folder on the same file system for what is not finished.
    changing : callable
        Returns what is entered while the folder appears.

    Raises
    ------
    ResourceError
        If the disk is full, or the folder can't be written any more.
    FileNotFoundError
        If the folder around `target` is gone.
    """
    with naming_disk_faults(f"store {aside.parent}"), _locked_draft(target.name, aside) as draft:
        yield draft
        _flush(draft)
        with changing():
            _replace(draft, target, aside)


@contextmanager
def _locked_draft(name: str, aside: Path) -> Iterator[Path]:
    """Make a draft folder that is locked while its writer lives, and gone when the block ends."""
    while True:
        draft = aside / f"{name}.{secrets.token_hex(8)}"
        draft.mkdir(parents=True)
        try:
            lock = os.open(draft, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue  # swept before it was locked
        try:
            if _lock(lock) is not False and draft.is_dir():  # else it is being swept
                yield draft
                return
        finally:
            os.close(lock)
            shutil.rmtree(draft, ignore_errors=True)


def _lock(descriptor: int) -> bool | None:
    """Try to lock a folder; return whether it was free, or None on a file system without locks (NFS)."""
    try:
        return try_lock(descriptor)
    except OSError:
        return None


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


def read_whole(identity: Callable[[], object], read: Callable[[], Result]) -> Result:
    """Read what is committed, again when it was replaced meanwhile.

    Parameters
    ----------
    identity : callable
        Returns what changes with a replacement, and raises `FileNotFoundError` when there is nothing.
    read : callable
        Reads it.

    Raises
    ------
    FileNotFoundError
        If there is nothing.
    """
    while True:
        before = identity()
        try:
            result = read()
        except Exception:
            if identity() == before:
                raise
        else:
            if identity() == before:
                return result


def remove(target: Path, aside: Path) -> None:
    """Rename a folder away so that no reader sees it, then delete it; a missing folder is no error."""
    grave = aside / f"{target.name}.{secrets.token_hex(8)}"
    try:
        with naming_disk_faults(f"store {aside.parent}"):
            aside.mkdir(parents=True, exist_ok=True)
            target.rename(grave)
    except FileNotFoundError:
        return
    shutil.rmtree(grave, ignore_errors=True)


def replace_file(target: Path, content: bytes, aside: Path) -> None:
    """Replace the content of an existing file atomically: a reader sees all of the old or all of the new content.

    Parameters
    ----------
    target : Path
        The file.
    content : bytes
        What it is to hold.
    aside : Path
        Folder on the same file system for what is not finished.

    Raises
    ------
    ResourceError
        If the disk is full.
    FileNotFoundError
        If the file is gone.
    """
    with naming_disk_faults(f"store {aside.parent}"), _locked_draft(target.parent.name, aside) as draft:
        (draft / target.name).write_bytes(content)
        _flush(draft)
        target.stat()
        (draft / target.name).replace(target)


def sweep(aside: Path) -> Swept:
    """Delete the drafts of dead writers; a draft whose lock is held belongs to a living writer."""
    entries = list(aside.iterdir()) if aside.is_dir() else []
    drafts = [entry for entry in entries if _DRAFT.fullmatch(entry.name)]
    swept = [_sweep_draft(draft) for draft in drafts]
    return Swept(removed=swept.count(True), in_work=swept.count(False), unknown=len(entries) - len(drafts))


def _sweep_draft(draft: Path) -> bool:
    """Delete a draft if its writer is dead, and return whether it was."""
    try:
        lock = os.open(draft, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        free = _lock(lock)
        dead = _is_older(draft, STALE_S) if free is None else free
        if dead:
            shutil.rmtree(draft, ignore_errors=True)
        return dead
    finally:
        os.close(lock)


def sweep_file(draft: Path) -> bool:
    """Delete a draft of a small file, which is written in no time, when it is an hour old: whether it was."""
    stale = _is_older(draft, SMALL_FILE_S)
    if stale:
        draft.unlink(missing_ok=True)
    return stale


def _is_older(path: Path, age_s: float) -> bool:
    try:
        return time.time() - path.stat().st_mtime > age_s
    except FileNotFoundError:
        return False


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
"""Disk space that is kept free for the catalog, logs and other writers."""
