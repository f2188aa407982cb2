"""Bring the volumes that a store lacks into it, in batches on one cluster; the catalog follows."""

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from operator import length_hint
from typing import NamedTuple, cast

from prefect.utilities.annotations import quote

from flows.room import check_room
from lidcflow.catalog.series import Catalog
from lidcflow.config import Config
from lidcflow.nodules.table import SCHEMA
from lidcflow.pixels.noticed import NOT_LEARNED_FROM
from lidcflow.series.find import Index, Series
from lidcflow.store.address import StoreAddress
from lidcflow.store.volumes import VolumeSummary
from tasks.cluster.open import cluster_for
from tasks.preprocess import Group, Preprocessed, preprocess_batch, preprocessing
from tasks.progress import listening, stage
from tasks.publish import ProgressArtifact

RECORD_EVERY_S = 0.5
"""A transaction for every few series would take a tenth of a core from the workers beside it."""


def preprocess_missing(index: Index, config: Config, store: StoreAddress) -> Preprocessed:
    """Bring every usable series of an index into a store, and keep the catalog up to date meanwhile.

    Raises
    ------
    ResourceError
        If the disk lacks room for the volumes, or the cluster does not start or goes away.
    """
    with Catalog(config.catalog) as catalog:
        catalog.record_verdicts(index)
        split = divided(index.usable, store)
        brought = Preprocessed()
        record = partial(_record, catalog, store.preprocess.digest, brought, split)
        digests = {uid: found.volume_digest for uid, found in split.current.items()}
        record(Preprocessed(reused=digests, flagged=_flagged(split.current.values())))
        preprocess_series_in_batches(split.waiting, brought, config, store, record)
        made = store.open().look_up([*brought.committed, *brought.verified, *brought.completed])
        record(Preprocessed(flagged=_flagged(found for _, found in made if found)))
    return brought


class Split(NamedTuple):
    """Series divided by what the store holds of them.

    Parameters
    ----------
    current : dict
        The volume of each series that the store holds as it is.
    waiting : list of Series
        Those to be worked on.
    earlier : dict
        Digest of the volume of those among them whose headers are the same, and whose pixels may be.
    incomplete : set of str
        Those among them whose volume is current, and lacks candidates.
    """

    current: dict[str, VolumeSummary]
    waiting: list[Series]
    earlier: dict[str, str]
    incomplete: set[str]


def _record(catalog: Catalog, config_digest: str, brought: Preprocessed, split: Split, part: Preprocessed) -> None:
    """Write what became of some series into the catalog, and add it to what the run has brought so far."""
    part = part.told_apart(split.earlier, split.incomplete)
    if part.stored:
        catalog.record_committed(part.stored, config_digest)
    if part.refused:
        catalog.record_failed(part.refused)
    if part.flagged:
        catalog.add_flags(part.flagged)
    brought.add(part)  # last: what an interrupt kept out of the catalog must not count as known


def split_current(usable: list[Series], store: StoreAddress) -> tuple[dict[str, str], list[Series]]:
    """Divide series into those the store holds as they are, with their volumes' digests, and those to be worked on."""
    split = divided(usable, store)
    return {uid: found.volume_digest for uid, found in split.current.items()}, split.waiting


def divided(usable: list[Series], address: StoreAddress) -> Split:
    """Divide series by what the store holds of them."""
    store = address.open(create=True)
    current: dict[str, VolumeSummary] = {}
    waiting: list[Series] = []
    earlier: dict[str, str] = {}
    incomplete: set[str] = set()
    known = store.look_up([series.series_instance_uid for series in usable])
    for series, (uid, found) in zip(usable, known, strict=True):
        if found and store.is_of(found, series):
            if found.candidates >= SCHEMA or not address.candidates:
                store.note_state(found, series)
                current[uid] = found
                continue
            incomplete.add(uid)
        waiting.append(series)
        if found and store.is_of_headers(found, series):
            earlier[uid] = found.volume_digest
    return Split(current, waiting, earlier, incomplete)


def _flagged(volumes: Iterable[VolumeSummary]) -> dict[str, tuple[str, ...]]:
    """Return the flags of wrong pixels of the volumes that have any."""
    found = {volume.series_instance_uid: NOT_LEARNED_FROM.intersection(volume.flags) for volume in volumes}
    return {uid: tuple(sorted(flags)) for uid, flags in found.items() if flags}


def preprocess_series_in_batches(
    waiting: list[Series],
    brought: Preprocessed,
    config: Config,
    store: StoreAddress,
    record: Callable[[Preprocessed], None],
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
