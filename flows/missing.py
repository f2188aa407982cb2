"""Bring the volumes that a store lacks into it, in batches on one cluster; the catalog follows."""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from operator import length_hint
from typing import cast

from prefect.utilities.annotations import quote

from flows.missing_series import Record, bring_missing, split_current
from flows.room import check_room
from lidcflow.config import Config
from lidcflow.dicom.records import Series
from lidcflow.series.verdicts import Index
from lidcflow.store.address import StoreAddress
from tasks.cluster.open import cluster_for
from tasks.preprocess import preprocess_batch, preprocessing
from tasks.preprocessed import Group, Preprocessed
from tasks.progress import listening, stage
from tasks.publish import ProgressArtifact

RECORD_EVERY_S = 0.5
"""A transaction for every few series would take a tenth of a core from the workers beside it."""


def preprocess_missing(index: Index, config: Config, store: StoreAddress) -> Preprocessed:
    """Bring every usable series of an index into a store, on a cluster, and keep the catalog up to date meanwhile.

    Raises
    ------
    ResourceError
        If the disk lacks room for the volumes, or the cluster does not start or goes away.
    """
    return bring_missing(index, config, store, preprocess_series_in_batches)


def preprocess_series_in_batches(
    waiting: list[Series],
    brought: Preprocessed,
    config: Config,
    store: StoreAddress,
    record: Record,
) -> None:
    """Preprocess series on one cluster, in batches; without series no cluster is started.

    However it ends, `record` was called for every series in the store, and `brought` contains them.
    """
    if not waiting:
        return
    check_room(len(waiting), config.workspace, store)
    store.open(create=True).require_writable()
    feed = iter(waiting)
    try:
        with cluster_for(config, "preprocess", store, waiting[0]) as cluster:
            finished = preprocessing(feed, cluster.address, store, config.cluster)
            _follow(finished, batch_ends(len(waiting), config.cluster.batch_size), record)
    except BaseException:
        # The last ones may have reached the store unheard, before their workers were stopped.
        begun = waiting[: len(waiting) - length_hint(feed)]
        unheard = [series for series in begun if not brought.knows(series.series_instance_uid)]
        record(Preprocessed(committed=split_current(unheard, store)[0]))
        raise


def _follow(finishing: Generator[Group, None, None], ends: list[int], record: Callable[[Preprocessed], None]) -> None:
    """Run a Prefect task for each batch, with one progress bar for all."""
    with (
        listening(ProgressArtifact()),
        stage("preprocess", ends[-1]) as preprocess_stage,
        closing(finishing) as finished,
        gathering(record) as gather,
    ):

        def counted(part: Preprocessed) -> None:
            gather(part)
            preprocess_stage.advance(part.answered)

        for last in ends:
            if preprocess_stage.done < last:
                # Quoted, Prefect hands the iterator over as it is, and does not look for futures in it.
                groups = cast("Iterator[Group]", quote(finished))
                preprocess_batch(groups, preprocess_stage.done + 1, last, counted)


@contextmanager
def gathering(record: Callable[[Preprocessed], None]) -> Iterator[Callable[[Preprocessed], None]]:
    """Yield a function that collects results, and record them every `RECORD_EVERY_S` and when the block ends."""
    waiting, recorded_s = Preprocessed(), time.monotonic()

    def pass_on() -> None:
        nonlocal waiting, recorded_s
        record(waiting)
        waiting, recorded_s = Preprocessed(), time.monotonic()

    def gather(part: Preprocessed) -> None:
        waiting.add(part)
        if time.monotonic() - recorded_s >= RECORD_EVERY_S:
            pass_on()

    try:
        yield gather
    finally:
        pass_on()


def batch_ends(total: int, size: int) -> list[int]:
    """Return the number of the last series of each batch.

    Examples
    --------
    >>> batch_ends(5, 2)
    [2, 4, 5]
    """
    return [min(start + size, total) for start in range(0, total, size)]
