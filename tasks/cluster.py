"""Series on Dask: beside `tasks.cluster_local` the only module that knows dask, distributed and prefect-dask."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import dask
from dask.system import CPU_COUNT
from distributed import Client, Future, KilledWorker, as_completed
from distributed.scheduler import NoValidWorkerError, NoWorkerError

from lidcflow.config import ClusterConfig
from lidcflow.config_cluster import LOCAL, Pool, is_class
from lidcflow.errors import ResourceError, SeriesRefused
from tasks.cluster_class import class_cluster
from tasks.cluster_local import WORKERS_WITHIN_S, Purpose, local_cluster, local_settings
from tasks.interrupts import shielding_children
from tasks.limits import within

if TYPE_CHECKING:
    from prefect_dask import DaskTaskRunner

Item = TypeVar("Item")
Result = TypeVar("Result")

SCHEDULER_WITHIN_S = 10


@dataclass(frozen=True)
class Cluster:
    """Where a scheduler listens and how many workers it had when the cluster was opened."""

    address: str
    workers: int


@contextmanager
def open_cluster(
    config: ClusterConfig, purpose: Purpose, *, scratch: Path | None = None, port: int = 0
) -> Iterator[Cluster]:
    """Connect to the configured scheduler, or start a cluster for as long as the block runs.

    Local workers are spawned processes of one thread each on the loopback interface, watched by a nanny that
    restarts them when they die or outgrow their memory.

    Parameters
    ----------
    config : ClusterConfig
        Its pool for the purpose says where: on this machine, on what a class starts, or on a scheduler that runs
        already, where nothing is started, and nothing is stopped at the end.
    purpose : "preprocess", "train" or "read"
        All but ``preprocess`` give one worker to each configured GPU and let TensorFlow use the idle cores; all but
        ``train`` suspect what ended its worker once.
    scratch : Path, optional
        Folder for the workers' temporary files; by default the system's.
    port : int
        Where a local scheduler listens; by default one that is free.

    Raises
    ------
    ConfigError
        If the configured class is not there, or does not take its arguments.
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
    pool = config.pool("preprocess" if purpose == "preprocess" else "train")
    if pool.place == LOCAL:
        opened = _local(config, pool, purpose, scratch, port)
    elif is_class(pool.place):
        opened = _started(config, pool, purpose)
    else:
        opened = _running(config, pool)
    with opened as cluster:
        yield cluster


@contextmanager
def _local(config: ClusterConfig, pool: Pool, purpose: Purpose, scratch: Path | None, port: int) -> Iterator[Cluster]:
    count = _workers_asked_for(config, pool) or CPU_COUNT
    with dask.config.set(local_settings(purpose, count)), ExitStack() as stack:
        try:
            with shielding_children():
                local = stack.enter_context(local_cluster(config, purpose, count, scratch, port=port))
        except RuntimeError:
            raise ResourceError(
                f"local cluster: {count} worker processes must start, but one did not; what it said is above, "
                "and fewer may fit: set cluster.workers"
            ) from None
        yield Cluster(local.scheduler_address, count)


@contextmanager
def _started(config: ClusterConfig, pool: Pool, purpose: Purpose) -> Iterator[Cluster]:
    """Start a cluster by its class; its scheduler may be in this process, and reads its settings here then."""
    count = _workers_asked_for(config, pool)
    with dask.config.set(local_settings(purpose, count or 1)), class_cluster(pool, count) as started:
        with _connected(started.scheduler_address) as client:
            workers = _check_workers(client, config, pool)
        yield Cluster(started.scheduler_address, workers)


@contextmanager
def _running(config: ClusterConfig, pool: Pool) -> Iterator[Cluster]:
    with _connected(pool.place) as client:
        workers = _check_workers(client, config, pool)
    yield Cluster(pool.place, workers)


def _workers_asked_for(config: ClusterConfig, pool: Pool) -> int | None:
    """Return how many workers the configuration wants; one for each GPU where there are any."""
    return config.gpus if pool.name == "train" and config.gpus else pool.workers


def map_series(
    address: str,
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    window: int = 4,
    within_s: float | None = None,
) -> Iterator[tuple[Item, Result | Exception]]:
    """Apply a function to every item on the cluster and yield each outcome as it comes.

    The parameters and what is raised are those of `map_groups`.

    Yields
    ------
    (item, outcome)
        In the order of completion. The outcome is the result, or the exception the function raised, or
        `SeriesRefused` with the reason ``"quarantined"``.
    """
    for group in map_groups(address, function, items, window=window, within_s=within_s):
        yield from group


def map_groups(
    address: str,
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    window: int = 4,
    within_s: float | None = None,
) -> Iterator[list[tuple[Item, Result | Exception]]]:
    """Apply a function to every item on the cluster and yield what has finished, as many at once as there are.

    At most `window` items per worker are in flight, and each result leaves the cluster at once, so that
    neither side ever holds the whole archive. An item that was in flight when its worker died is run once more at
    the end with nothing beside it, and only if that ends its worker too is it given up: its neighbours are innocent.

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
    within_s : float, optional
        Time for one item, after which its worker process is ended, also in the middle of a call that never returns.

    Raises
    ------
    ResourceError
        If the scheduler goes away, or has no worker any more.
    """
    work = function if within_s is None else partial(within, within_s, function)
    suspects: list[Item] = []
    with _connected(address) as client:
        for group in _outcomes(client, work, items, window * max(1, len(client.nthreads()))):
            suspects += [item for item, outcome in group if isinstance(outcome, KilledWorker)]
            if innocent := [pair for pair in group if not isinstance(pair[1], KilledWorker)]:
                yield innocent
        for group in _outcomes(client, work, suspects, 1):
            yield [(item, _unless_killed(item, outcome, within_s)) for item, outcome in group]


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


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    try:
        client = Client(address, set_as_default=False, name="lidcflow", timeout=SCHEDULER_WITHIN_S)
    except (OSError, ValueError):
        raise ResourceError(
            f"Dask scheduler {address}: must be running, got no answer within {SCHEDULER_WITHIN_S} s; start it, or "
            "leave cluster.place out of the configuration to work on this machine"
        ) from None
    with client:
        yield client


def _check_workers(client: Client, config: ClusterConfig, pool: Pool) -> int:
    try:
        client.wait_for_workers(1, timeout=WORKERS_WITHIN_S)
    except TimeoutError:
        raise ResourceError(
            f"Dask scheduler {pool.place}: must have a worker, got none within {WORKERS_WITHIN_S} s; start one"
        ) from None
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    if pool.name == "train" and config.gpus and not any("GPU" in worker["resources"] for worker in workers):
        raise ResourceError(
            f"Dask scheduler {pool.place}: a worker must offer the resource GPU as cluster.gpus is {config.gpus}, "
            "got none; start workers with --resources GPU=1, or set cluster.gpus to 0"
        )
    return len(workers)


def _outcomes(
    client: Client, function: Callable[[Item], Result], items: Iterable[Item], in_flight: int
) -> Iterator[list[tuple[Item, Result | Exception]]]:
    """Keep up to `in_flight` items on the cluster and yield those that are ready with results or exceptions."""
    waiting = iter(items)
    flying = _submit(client, function, list(islice(waiting, in_flight)))
    completed = as_completed(list(flying), loop=client.loop)
    try:
        for ready in completed.batches():
            group = [(flying.pop(future), outcome) for future, outcome in _gather(client, ready)]
            for future in ready:
                future.release()
            successors = _submit(client, function, list(islice(waiting, len(ready))))
            flying.update(successors)
            completed.update(list(successors))
            yield group
    finally:
        client.cancel(list(flying), force=True)


def _submit(client: Client, function: Callable[[Item], Result], items: list[Item]) -> dict[Future, Item]:
    """Send items in one message: a message each costs 2 ms of this process, together 1 ms."""
    return dict(zip(client.map(function, items, pure=False), items, strict=True)) if items else {}


def _gather(client: Client, ready: list[Future]) -> Iterator[tuple[Future, Any]]:
    """Fetch results in one request to each worker, 4 ms cheaper than one by one, and give those that failed singly."""
    finished = [future for future in ready if future.status == "finished"]
    results = client.gather(finished, errors="skip")
    found = dict(zip(finished, results, strict=True)) if len(results) == len(finished) else {}
    for future in ready:
        yield future, found[future] if future in found else _outcome(future)


def _outcome(future: Future) -> Any:
    """Return a future's result or its exception; `result` tells of a killed worker, `wait` does not."""
    if future.cancelled():
        raise ResourceError(
            "Dask scheduler: must stay up while series are worked on, but it went away; start it and run again, "
            "finished series are kept"
        )
    try:
        return future.result()
    except (NoValidWorkerError, NoWorkerError):
        raise ResourceError(
            f"Dask cluster: must have a worker, got none for {WORKERS_WITHIN_S} s; look at memory and disk, and "
            "run again, finished series are kept"
        ) from None
    except Exception as error:
        return error


def _unless_killed(item: object, outcome: Any, within_s: float | None) -> Any:
    """Return the outcome of an item that ran alone, or why it is given up if its worker died again."""
    if not isinstance(outcome, KilledWorker):
        return outcome
    uid = getattr(item, "series_instance_uid", item)
    limit = "" if within_s is None else f" within {within_s:g} s"
    overtime = "" if within_s is None else ", hang in a file (cluster.series_within_s)"
    return SeriesRefused(
        "quarantined",
        f"series {uid}: must be worked on{limit} without ending the process, but ended it each time, alone too; it may "
        f"need more memory (cluster.memory_limit){overtime}, or crash a decoder; raise the limit, or leave it out",
    )
