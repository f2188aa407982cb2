"""Identify the worker of the cluster that runs this code, and its device."""

from __future__ import annotations

import os

from distributed import get_worker

from tasks.cluster.join import GPU


def worker_here() -> str:
    """Return the name and address of the worker that this code runs on, and whether it computes on a GPU."""
    try:
        worker = get_worker()
    except ValueError:
        return f"process {os.getpid()}"
    device = "GPU" if worker.state.total_resources.get(GPU) else "CPU"
    return f"worker {worker.name} at {worker.address} ({device})"
