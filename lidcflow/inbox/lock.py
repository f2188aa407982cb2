"""One round through the inbox at a time: two at once would read the same studies twice."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lidcflow.errors import ResourceError

LOCK_FILE = "inbox.lock"


@contextmanager
def alone(workspace: Path) -> Iterator[None]:
    """Hold the inbox of a workspace; the lock goes with the process, however that ends.

    Raises
    ------
    ResourceError
        If another process holds it.
    """
    workspace.mkdir(parents=True, exist_ok=True)
    with (workspace / LOCK_FILE).open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ResourceError(
                f"workspace {workspace}: one round through the inbox must end before the next, got one that runs; "
                "wait for it, the next scheduled one goes on"
            ) from None
        yield
