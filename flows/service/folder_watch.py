"""Notice what comes into folders by the times of their directories: no service of the system, any file system."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

LOOK_EVERY_S = 1.0
"""A look costs a few microseconds for each directory."""

IDLE_SHARE = 20
"""Looks take at most this part of the time: of huge trees they are less frequent."""

QUIET_S = 1.0
"""Time without a change after which arriving files count as complete."""

LONGEST_S = 10.0
"""Time after which what comes without a rest is taken note of all the same."""


class Look(NamedTuple):
    """A directory as it was seen: which one it is, when it changed, and the directories in it."""

    identity: tuple[int, int]
    changed_ns: int
    inner: list[str]


class FolderWatch:
    """Directory trees, and what they looked like the last time; each directory is entered once.

    Parameters
    ----------
    roots : iterable of Path
        Folders; one that is gone looks empty.
    """

    def __init__(self, roots: Iterable[Path]) -> None:
        self._roots = [str(root) for root in roots]
        self._seen: dict[str, Look] = {}
        self.changed()

    def changed(self) -> bool:
        """Return whether an entry came or went in a directory since the last call."""
        before, self._seen = self._seen, {}
        waiting, entered = list(self._roots), set[tuple[int, int]]()
        while waiting:
            folder = waiting.pop()
            found = _look(folder, before.get(folder))
            if found and found.identity not in entered:
                entered.add(found.identity)
                self._seen[folder] = found
                waiting += found.inner
        return _times(before) != _times(self._seen)

    def wait(self, longest_s: float) -> bool:
        """Wait until something has come and rests; return False if nothing came within the time."""
        deadline_s = time.monotonic() + longest_s
        first_s = changed_s = None
        while first_s or time.monotonic() < deadline_s:
            now_s = time.monotonic()
            if first_s and changed_s and (now_s - changed_s >= QUIET_S or now_s - first_s >= LONGEST_S):
                return True
            if self.changed():
                first_s, changed_s = first_s or now_s, now_s
            pause_s = max(LOOK_EVERY_S, IDLE_SHARE * (time.monotonic() - now_s))
            time.sleep(pause_s if first_s else max(0.0, min(pause_s, deadline_s - time.monotonic())))
        return False


def _times(seen: Mapping[str, Look]) -> dict[str, int]:
    return {folder: found.changed_ns for folder, found in seen.items()}


def _look(folder: str, before: Look | None) -> Look | None:
    """Look at a directory, and read it anew only where its time is another; None where it can't be read."""
    try:
        found = Path(folder).stat()
        identity = found.st_dev, found.st_ino
        if before and (before.identity, before.changed_ns) == (identity, found.st_mtime_ns):
            return before
        with os.scandir(folder) as entries:
            return Look(identity, found.st_mtime_ns, [entry.path for entry in entries if entry.is_dir()])
    except OSError:
        return None
