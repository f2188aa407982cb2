"""Preprocess series on the cluster: each is reduced and committed by one worker process."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial

from prefect import task
from prefect.cache_policies import NO_CACHE

from lidcflow.config import ClusterConfig
from lidcflow.dicom.records import Series
from lidcflow.store.address import StoreAddress
from tasks.candidates import preprocess_with_candidates
from tasks.cluster.open import map_groups
from tasks.preprocessed import Group, Preprocessed, sort_out
from tasks.publish import emit_series_event
from tasks.worker import preprocess_series


def preprocessing(
    series: Iterable[Series], address: str, store: StoreAddress, config: ClusterConfig
) -> Generator[Group, None, None]:
    """Start to preprocess series on the Dask cluster and yield those that are finished, group by group."""
    bring = preprocess_with_candidates if store.candidates else preprocess_series
    work = partial(bring, store_root=store.root, config=store.preprocess, access=store.access)
    return map_groups(address, work, series, window=config.window, within_s=config.series_within_s)


@task(name="preprocess-batch", task_run_name="series {first} to {last}", cache_policy=NO_CACHE)
def preprocess_batch(finished: Iterator[Group], first: int, last: int, record: Callable[[Preprocessed], None]) -> None:
    """Follow the cluster from the first to the last series of a batch, in the order in which they are finished.

    The cluster is fed across batches, so that none waits for the slowest series of the one before. There is
    nothing to retry: each series commits by itself, and is run again when its worker dies.
    """
    drain(finished, record, enough=last - first + 1)


def drain(finished: Iterable[Group], record: Callable[[Preprocessed], None], *, enough: int | None = None) -> None:
    """Record the results of series as they are finished, and send Prefect an event for each.

    Parameters
    ----------
    finished : iterable of groups
        From `preprocessing`.
    record : callable
        Takes each group, also the one that ends with an error for all.
    enough : int, optional
        Stop after this number of finished series; the next call takes the rest of `finished`.

    Raises
    ------
    LidcflowError
        What stops all series, not one: a store of another configuration, a full disk.
    """
    answered = 0
    for group in finished:
        part, stopping = sort_out(group)
        record(part)
        _tell(part)
        if stopping:
            raise stopping
        answered += part.answered
        if enough is not None and answered >= enough:
            return


def _tell(part: Preprocessed) -> None:
    for uid, digest in part.committed.items():
        emit_series_event("committed", uid, volume_digest=digest)
    for uid, refusal in part.refused.items():
        emit_series_event("refused", uid, reason=refusal.reason, sentence=refusal.sentence)
