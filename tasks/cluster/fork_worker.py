"""Preloaded by Dask in a worker that is a fork: what was read from the environment before the fork is read again."""

from __future__ import annotations

from distributed import Worker
from prefect.context import refresh_global_settings_context


def dask_setup(_worker: Worker) -> None:
    """Make Prefect read its settings again: the address of the server came after the fork's imports."""
    refresh_global_settings_context()
