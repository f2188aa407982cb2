"""How many processes work on this machine; distributed is not imported here."""

from __future__ import annotations

from dask.system import CPU_COUNT

from lidcflow.config import ClusterConfig


def local_workers(config: ClusterConfig) -> int:
    """Return how many processes work on this machine: as configured, or one for each core it may use."""
    return config.workers or CPU_COUNT
