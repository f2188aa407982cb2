"""Series on Dask: the only module that knows dask, distributed and prefect-dask."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import dask
from dask.system import CPU_COUNT
from distributed import Client, Future, KilledWorker, Nanny, Scheduler, SpecCluster, as_completed
from distributed.diskutils import WorkSpace

from lidcflow.config import ClusterConfig
from lidcflow.errors import ResourceError, SeriesRefused
from tasks.interrupts import shielding_children

if TYPE_CHECKING:
    from prefect_dask import DaskTaskRunner

Purpose = Literal["preprocess", "train"]
Item = TypeVar("Item")
Result = TypeVar("Result")

LOOPBACK = "127.0.0.1"
SCRATCH_FOLDER = "dask-scratch-space"
SCHEDULER_WITHIN_S = 10
WORKERS_WITHIN_S = 120
"""A worker starts in 2 s on a quiet machine; a cluster on a queue may still have to get its first machine."""


@dataclass(frozen=True)
class Cluster:
    """Where a scheduler listens and how many workers it had when the cluster was opened."""

    address: str
    workers: int


@contextmanager
def open_cluster(config: ClusterConfig, purpose: Purpose, *, scratch: Path | None = None) -> Iterator[Cluster]:
    """Connect to the configured scheduler, or start a local cluster for as long as the block runs.

    Local workers are spawned processes of one thread each on the loopback interface, watched by a nanny that
    restarts them when they die or outgrow their memory.

    Parameters
    ----------
    config : ClusterConfig
        With an address nothing is started, and nothing is stopped at the end.
    purpose : "preprocess" or "train"
        ``train`` gives one worker to each configured GPU and lets TensorFlow use the idle cores.
    scratch : Path, optional
        Folder for the workers' temporary files; by default the system's.

    Raises
    ------
    ResourceError
        If the scheduler does not answer, has no worker, or lacks the configured GPUs; if a local worker does not
        start.

    Examples
    --------
    ::

        with open_cluster(config.cluster, "preprocess", scratch=config.scratch_path) as cluster:
            for series, outcome in map_series(cluster.address, reduce, found, window=config.cluster.window):
                ...
    """
    if config.address:
        with _connected(config.address) as client:
            workers = _check_workers(client, config)
        yield Cluster(config.address, workers)
        return
    count = config.gpus if purpose == "train" and config.gpus else local_workers(config)
    with dask.config.set(_local_settings(purpose, count)), ExitStack() as stack:
        try:
            with shielding_children():
                local = stack.enter_context(_local_cluster(config, purpose, count, scratch))
        except RuntimeError:
            raise ResourceError(
                f"local cluster: {count} worker processes must start, but one did not; what it said is above, "
                "and fewer may fit: set cluster.workers"
            ) from None
        yield Cluster(local.scheduler_address, count)


def map_series(
    address: str, function: Callable[[Item], Result], items: Iterable[Item], *, window: int = 4
) -> Iterator[tuple[Item, Result | Exception]]:
    """Apply a function to every item on the cluster and yield each outcome as it comes.

    At most `window` items per worker are in flight, and each result leaves the cluster at once, so that
    neither side ever holds the whole archive. An item that was in flight when its worker died is run again; if
    it is among the dead too often, it is run once more with nothing beside it, and only if that ends its worker
    too is it given up: its neighbours are innocent.

    Parameters
    ----------
    address : str
        Of the Dask scheduler.
    function : callable
        Of one item; importable by the workers (a `functools.partial` of a module's function will do).
    items : iterable
        Series or other small things that hold paths, never arrays.
    window : int
        Items in flight per worker.

    Yields
    ------
    (item, outcome)
        In the order of completion. The outcome is the result, or the exception the function raised, or
        `SeriesRefused` with the reason ``"quarantined"``.

    Raises
    ------
    ResourceError
        If the scheduler goes away.
    """
    suspects: list[Item] = []
    with _connected(address) as client:
        in_flight = window * max(1, len(client.nthreads()))
        for item, outcome in _outcomes(client, function, items, in_flight):
            if isinstance(outcome, KilledWorker):
                suspects.append(item)
            else:
                yield item, outcome
        for item, outcome in _outcomes(client, function, suspects, 1):
            yield item, _quarantined(item) if isinstance(outcome, KilledWorker) else outcome


def task_runner(address: str) -> DaskTaskRunner:
    """Return the task runner that sends a flow's submitted tasks to this scheduler."""
    from prefect_dask import DaskTaskRunner  # a second of imports that workers and phantoms do without

    return DaskTaskRunner(address=address)


def gpu_resources(config: ClusterConfig) -> AbstractContextManager[Any]:
    """Give each task that is submitted in the block a GPU of its own, where the cluster offers any."""
    return dask.annotate(resources={"GPU": 1}) if config.gpus else nullcontext()


def local_workers(config: ClusterConfig) -> int:
    """Return how many processes work on this machine: as configured, or one for each core it may use."""
    return config.workers or CPU_COUNT


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


def _local_settings(purpose: Purpose, workers: int) -> dict[str, Any]:
    """Settings that Dask reads from its own configuration only, not from arguments."""
    tensorflow_threads = max(1, CPU_COUNT // workers) if purpose == "train" else 1
    before_start = {
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
        "TF_NUM_INTRAOP_THREADS": str(tensorflow_threads),
        "TF_NUM_INTEROP_THREADS": "1",
        "DASK_LOGGING__DISTRIBUTED": "critical",
    }
    return {
        "distributed.scheduler.allowed-failures": 2,
        "distributed.worker.multiprocessing-method": "spawn",
        "distributed.nanny.pre-spawn-environ": before_start,
    }


def _local_cluster(config: ClusterConfig, purpose: Purpose, workers: int, scratch: Path | None) -> SpecCluster:
    options = {
        "host": LOOPBACK,
        "nthreads": 1,
        "memory_limit": config.memory_limit,
        "local_directory": str(scratch) if scratch else None,
        "dashboard": False,
        "silence_logs": logging.CRITICAL,
    }
    gpus = config.gpus if purpose == "train" else 0
    specs = {i: {"cls": Nanny, "options": {**options, **_gpu_options(i, gpus)}} for i in range(workers)}
    scheduler = {"host": LOOPBACK, "dashboard": False, "dashboard_address": f"{LOOPBACK}:0"}
    return SpecCluster(
        workers=specs,
        scheduler={"cls": Scheduler, "options": scheduler},
        name=f"lidcflow-{purpose}",
        silence_logs=logging.CRITICAL,
    )


def _gpu_options(worker: int, gpus: int) -> dict[str, Any]:
    """Show each GPU to one worker only: TensorFlow takes all the memory of every GPU it sees."""
    if not gpus:
        return {}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    device = visible[worker] if worker < len(visible) and visible[worker] else str(worker)
    return {"resources": {"GPU": 1}, "env": {"CUDA_VISIBLE_DEVICES": device}}


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    try:
        client = Client(address, set_as_default=False, name="lidcflow", timeout=SCHEDULER_WITHIN_S)
    except (OSError, ValueError):
        raise ResourceError(
            f"Dask scheduler {address}: must be running, got no answer within {SCHEDULER_WITHIN_S} s; start it, or "
            "leave cluster.address out of the configuration to work on this machine"
        ) from None
    with client:
        yield client


def _check_workers(client: Client, config: ClusterConfig) -> int:
    try:
        client.wait_for_workers(1, timeout=WORKERS_WITHIN_S)
    except TimeoutError:
        raise ResourceError(
            f"Dask scheduler {config.address}: must have a worker, got none within {WORKERS_WITHIN_S} s; start one"
        ) from None
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    if config.gpus and not any("GPU" in worker["resources"] for worker in workers):
        raise ResourceError(
            f"Dask scheduler {config.address}: a worker must offer the resource GPU as cluster.gpus is {config.gpus}, "
            "got none; start workers with --resources GPU=1, or set cluster.gpus to 0"
        )
    return len(workers)


def _outcomes(
    client: Client, function: Callable[[Item], Result], items: Iterable[Item], in_flight: int
) -> Iterator[tuple[Item, Result | Exception]]:
    """Keep up to `in_flight` items on the cluster and yield each with its result or exception."""
    waiting = iter(items)
    flying = {_submit(client, function, item): item for item in islice(waiting, in_flight)}
    completed = as_completed(list(flying), loop=client.loop)
    try:
        for future in completed:
            item, outcome = flying.pop(future), _outcome(future)
            future.release()
            for following in islice(waiting, 1):
                successor = _submit(client, function, following)
                flying[successor] = following
                completed.add(successor)
            yield item, outcome
    finally:
        client.cancel(list(flying), force=True)


def _submit(client: Client, function: Callable[[Item], Result], item: Item) -> Future:
    return client.submit(function, item, pure=False)


def _outcome(future: Future) -> Any:
    """Return a future's result or its exception; `result` tells of a killed worker, `wait` does not."""
    if future.cancelled():
        raise ResourceError(
            "Dask scheduler: must stay up while series are worked on, but it went away; start it and run again, "
            "finished series are kept"
        )
    try:
        return future.result()
    except Exception as error:
        return error


def _quarantined(item: object) -> SeriesRefused:
    uid = getattr(item, "series_instance_uid", item)
    return SeriesRefused(
        "quarantined",
        f"series {uid}: must not end the process that works on it, but did so each time, alone too; "
        "it may need more memory than cluster.memory_limit, or crash a decoder",
    )
