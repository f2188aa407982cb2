"""Number of worker processes on this machine; distributed is not imported here."""

from __future__ import annotations

from dask.system import CPU_COUNT


def local_workers(configured: int | None) -> int:
    """Return how many processes work on this machine: as configured, or one for each core it may use."""
    return configured or CPU_COUNT
