"""Workers of this machine as forks of a process that has imported what they need, once for all of them.

The imports of a training take 4 to 7 s of CPU in each process. `multiprocessing`'s fork server imports them while the
flow still plans, and a worker that dies is replaced in a moment. It runs nothing beside its imports, which start no
threads but that of pyarrow's allocator, and jemalloc provides for forks; TensorFlow starts its threads in the workers.
"""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing import forkserver
from pathlib import Path

from lidcflow.config import ClusterConfig
from lidcflow.config.cluster import LOCAL
from tasks.cluster.interrupts import shielding_children
from tasks.cluster.threads import thread_variables

IMPORTS = "tasks.cluster.fork_imports"
GPU_DRIVER = Path("/dev/nvidiactl")

BEFORE_START = {
    **thread_variables(1, network=False),
    "DASK_LOGGING__DISTRIBUTED": "critical",
    "MALLOC_TRIM_THRESHOLD_": "65536",  # as Dask sets it for workers that are spawned
    "PYTHONSAFEPATH": "1",  # else it imports from the working folder first, where there may be another package tasks
}
"""Variables of the process that is forked: what is read when it starts, or imports NumPy or Dask."""

_environment: dict[str, str] = {}
"""That of the process that is forked."""


def can_fork(gpus: int) -> bool:
    """Return whether workers may be forks: not with a GPU, since CUDA does not survive a fork, nor with JAX."""
    return not gpus and not GPU_DRIVER.exists() and os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow"


def begin_training_workers(config: ClusterConfig) -> None:
    """Start the process that the workers of a training will be forked from, where they will be forks."""
    if config.pool("train").place == LOCAL and can_fork(config.gpus):
        begin()


def begin() -> None:
    """Start the process that workers are forked from, if it does not run; it imports in the background.

    Call it when the environment is prepared, and as early as it is known that there will be workers.
    """
    multiprocessing.set_forkserver_preload([IMPORTS])
    kept = {name: os.environ.get(name) for name in BEFORE_START}
    os.environ.update(BEFORE_START)
    try:
        with shielding_children():
            forkserver.ensure_running()
        if not _environment:
            _environment.update(os.environ)
    finally:
        for name, value in kept.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def changed_since() -> dict[str, str]:
    """Return the variables that are new or other than those of the process that is forked, for its forks."""
    kept = BEFORE_START.keys()
    return {name: value for name, value in os.environ.items() if name not in kept and _environment.get(name) != value}
