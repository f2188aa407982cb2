"""A Dask cluster of this machine: processes of one thread, spawned or forked, each watched by a nanny."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any, Literal

from distributed import Nanny, Scheduler, SpecCluster
from distributed.diskutils import WorkSpace

from lidcflow.config import ClusterConfig
from tasks.cluster import forks
from tasks.cluster.memory import MEMORY_SHARE
from tasks.cluster.threads import thread_variables

Purpose = Literal["preprocess", "train", "read"]

LOOPBACK = "127.0.0.1"
FORK_WORKER = "tasks.cluster.fork_worker"
SCRATCH_FOLDER = "dask-scratch-space"

NO_WORKERS = "distributed.scheduler.no-workers-timeout"
WORKERS_WITHIN_S = 120
"""A worker starts in 2 s on a quiet machine; a cluster on a queue may still have to get its first machine."""


def local_settings(purpose: Purpose, workers: int, *, forked: bool = False) -> dict[str, Any]:
    """Settings that Dask reads from its own configuration only, not from arguments.

    Forked workers come from the process of `tasks.cluster.forks`.
    """
    before_start = {
        **thread_variables(workers, network=purpose != "preprocess"),
        "DASK_LOGGING__DISTRIBUTED": "critical",
    }
    return {
        # One death is enough to make a suspect, which map_groups runs once more alone: with two allowed, a file that
        # hangs would cost six times cluster.series_within_s.
        "distributed.scheduler.allowed-failures": 2 if purpose == "train" else 0,
        NO_WORKERS: f"{WORKERS_WITHIN_S} s",
        "distributed.worker.multiprocessing-method": "forkserver" if forked else "spawn",
        # Results are a few bytes, so there is nothing to spill; a worker that pauses near its limit, because memory
        # that was freed is not always given back, would get no more work and hold what waits there for ever.
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.pause": False,
        "distributed.worker.memory.terminate": MEMORY_SHARE,
        # Dask looks a hundred times a second at what a worker does, for a page of its dashboard, which is off here:
        # that is 12% of the CPU time of a worker that starts and trains a sector.
        "distributed.worker.profile.enabled": False,
        # Each process asks 50 times a second whether its event loop is blocked, and warns after 3 s: for a cluster of
        # one worker that waits, as the one that keeps the models loaded, that is more than half of its CPU time.
        "distributed.admin.tick.interval": "1s",
        "distributed.nanny.pre-spawn-environ": before_start,
    }


def local_cluster(
    config: ClusterConfig,
    purpose: Purpose,
    workers: int,
    scratch: Path | None,
    *,
    port: int = 0,
    forked: bool = False,
) -> SpecCluster:
    """Start a scheduler and workers on the loopback interface; open it under `local_settings`."""
    protocol = "tls" if config.tls else "tcp"
    options = {
        "host": LOOPBACK,
        "protocol": protocol,
        "nthreads": 1,
        "memory_limit": config.memory_limit,
        "local_directory": str(scratch) if scratch else None,
        "dashboard": False,
        "silence_logs": logging.CRITICAL,
    }
    if forked:
        threads = thread_variables(workers, network=purpose != "preprocess")
        options |= {"env": forks.changed_since() | threads, "preload": [FORK_WORKER]}
    gpus = config.gpus if purpose != "preprocess" else 0
    specs = {i: {"cls": Nanny, "options": {**options, **_gpu_options(i, gpus)}} for i in range(workers)}
    scheduler = {
        "host": LOOPBACK,
        "protocol": protocol,
        "port": port,
        "dashboard": False,
        "dashboard_address": f"{LOOPBACK}:0",
    }
    return SpecCluster(
        workers=specs,
        scheduler={"cls": Scheduler, "options": scheduler},
        name=f"lidcflow-{purpose}",
        silence_logs=logging.CRITICAL,
    )


def remove_scratch(scratch: Path) -> int:
    """Remove the folders of workers that died, and return how many they were; Dask locks those of living ones."""
    folder = scratch / SCRATCH_FOLDER
    if not folder.is_dir():
        return 0
    before = _worker_folders(folder)
    WorkSpace(str(folder)).new_work_dir(prefix="repair-").release()  # making one sweeps the others
    return len(before - _worker_folders(folder))


def _worker_folders(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir() if entry.is_dir()}


def _gpu_options(worker: int, gpus: int) -> dict[str, Any]:
    """Show each GPU to one worker only: TensorFlow takes all the memory of every GPU it sees."""
    if not gpus:
        return {}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    device = visible[worker] if worker < len(visible) and visible[worker] else str(worker)
    return {"resources": {"GPU": 1}, "env": {"CUDA_VISIBLE_DEVICES": device}}
