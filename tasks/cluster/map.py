"""Series on Dask: each item an outcome, a bounded number of them on the cluster at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import dask
from distributed import Client, Future, KilledWorker, as_completed
from distributed.scheduler import NoValidWorkerError, NoWorkerError

from lidcflow.errors import ResourceError, SeriesRefused
from tasks.cluster.connect import connected
from tasks.cluster.local import WORKERS_WITHIN_S
from tasks.time_limit import within

Item = TypeVar("Item")
Result = TypeVar("Result")

COUNT_EVERY_S = 2.0
"""Workers come and go: an adaptive cluster grows only when more work is queued."""


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
) -> Generator[list[tuple[Item, Result | Exception]], None, None]:
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
    with connected(address) as client:
        for group in _outcomes(client, work, items, _Room(client, window)):
            suspects += [item for item, outcome in group if isinstance(outcome, KilledWorker)]
            if innocent := [pair for pair in group if not isinstance(pair[1], KilledWorker)]:
                yield innocent
        for group in _outcomes(client, work, suspects, lambda: 1):
            yield [(item, _unless_killed(item, outcome, within_s)) for item, outcome in group]


class _Room:
    """Most items on the cluster: a fixed number for each thread of the workers that may take them."""

    def __init__(self, client: Client, window: int) -> None:
        self._client, self._window = client, window
        self._threads, self._counted_s = 0, -COUNT_EVERY_S

    def __call__(self) -> int:
        if time.monotonic() - self._counted_s >= COUNT_EVERY_S:
            self._threads, self._counted_s = _threads(self._client), time.monotonic()
        return self._window * max(1, self._threads)


def _threads(client: Client) -> int:
    asked = dask.get_annotations().get("resources", {})
    workers = client.scheduler_info()["workers"].values()
    able = [one for one in workers if all(one["resources"].get(name, 0) >= least for name, least in asked.items())]
    return sum(one["nthreads"] for one in able)


def _outcomes(
    client: Client, function: Callable[[Item], Result], items: Iterable[Item], room: Callable[[], int]
) -> Iterator[list[tuple[Item, Result | Exception]]]:
    """Keep up to `room` items on the cluster and yield those that are ready with results or exceptions."""
    waiting = iter(items)
    flying = _submit(client, function, list(islice(waiting, room())))
    completed = as_completed(list(flying), loop=client.loop)
    try:
        for ready in completed.batches():
            group = [(flying.pop(future), outcome) for future, outcome in _gather(client, ready)]
            for future in ready:
                future.release()
            successors = _submit(client, function, list(islice(waiting, max(0, room() - len(flying)))))
            flying.update(successors)
            completed.update(list(successors))
            yield group
    finally:
        client.cancel(list(flying), force=True)


def _submit(client: Client, function: Callable[[Item], Result], items: list[Item]) -> dict[Future[Any], Item]:
    """Send items in one message: a message each costs 2 ms of this process, together 1 ms."""
    return dict(zip(client.map(function, items, pure=False), items, strict=True)) if items else {}


def _gather(client: Client, ready: list[Future[Any]]) -> Iterator[tuple[Future[Any], Any]]:
    """Fetch results in one request to each worker, 4 ms cheaper than one by one, and give those that failed singly."""
    finished = [future for future in ready if future.status == "finished"]
    results = client.gather(finished, errors="skip")
    found = dict(zip(finished, results, strict=True)) if len(results) == len(finished) else {}
    for future in ready:
        yield future, found[future] if future in found else _outcome(future)


def _outcome(future: Future[Any]) -> Any:
    """Return a future's result or its exception; unlike `wait`, `result` reports a killed worker."""
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


def what_ended(error: Exception) -> str:
    """Describe what ended a task; if its workers died, Dask knows only where they were.

    Examples
    --------
    >>> what_ended(ValueError("sectors must be at least 1, got 0"))
    'ValueError: sectors must be at least 1, got 0'
    """
    if isinstance(error, KilledWorker):
        return (
            "the end of its worker each time; it may need more memory (cluster.memory_limit, or the worker's own "
            "--memory-limit)"
        )
    return f"{type(error).__name__}: {error}"


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
