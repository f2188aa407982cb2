"""Locks of files and folders, between processes of one machine; a lock goes with its process, however that ends."""

# The library filelock (4.3) was left out: it locks files of its own beside the target, while half of what is locked
# here is a folder, or a file that others read. Its shared locks are SQLite databases or leases, not flock: an older
# lidcflow on the same workspace would not see them. It takes 45 ms of CPU time to import, this module 3 ms.

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

AGAIN_AFTER_S = 0.05


def try_lock(descriptor: int, *, shared: bool = False, patience_s: float = 0.0) -> bool:
    """Lock an open file or folder until it is closed, and return whether that worked.

    Parameters
    ----------
    descriptor : int
        Of the open file or folder.
    shared : bool
        Whether others may hold a shared lock at the same time.
    patience_s : float
        Time to wait for another process that holds the lock.

    Raises
    ------
    OSError
        If the file system has no locks (NFS).

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryFile() as one:
    ...     try_lock(one.fileno())
    True
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    deadline_s = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline_s:
                return False
            time.sleep(AGAIN_AFTER_S)
        else:
            return True


@contextmanager
def trying_folder(folder: Path) -> Iterator[bool]:
    """Lock a folder for as long as the block runs, and yield whether that worked.

    Raises
    ------
    OSError
        If the folder can't be opened, or the file system has no locks (NFS).
    """
    with _opened(folder) as descriptor:
        yield try_lock(descriptor)


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Lock a folder for as long as the block runs; wait for others that hold it.

    Raises
    ------
    OSError
        If the folder can't be opened, or the file system has no locks (NFS).
    """
    with _opened(folder) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
