"""The memory that a process may take, as the configuration of a cluster says; distributed is not imported here."""

from __future__ import annotations

from dask.utils import parse_bytes

MEMORY_SHARE = 0.95
"""Share of cluster.memory_limit at which a process is ended; its watcher checks ten times a second."""


def most_bytes(memory_limit: str) -> int | None:
    """Return the memory at which a process is ended; None where the limit is not a size.

    Examples
    --------
    >>> most_bytes("4GiB"), most_bytes("auto")
    (4080218931, None)
    """
    try:
        return int(MEMORY_SHARE * parse_bytes(memory_limit)) or None
    except ValueError:
        return None
