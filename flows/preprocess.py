"""Bring every usable series of a source into the store."""

import shutil
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from operator import length_hint
from pathlib import Path
from typing import Annotated, NamedTuple, cast

from prefect import flow
from prefect.utilities.annotations import quote
from pydantic import BaseModel

from flows.config import ParameterHelp, Settings, resolve_config, resolve_source
from lidcflow.catalog.locks import at_work
from lidcflow.catalog.series import Catalog
from lidcflow.config import Config, PreprocessConfig
from lidcflow.dicom.records import Collection
from lidcflow.errors import ResourceError
from lidcflow.pixels.noticed import NOT_LEARNED_FROM
from lidcflow.report.pixel_warnings import pixel_warnings
from lidcflow.series.find import Index, Series, VerdictReason
from lidcflow.series.verdicts import OtherFiles
from lidcflow.source.places import ImageSource, parse_source
from lidcflow.store.address import StoreAddress, training_store
from lidcflow.store.volumes import VolumeSummary
from tasks.cluster.open import cluster_for
from tasks.index import index_source
from tasks.labels import announce_labelled
from tasks.preprocess import Group, Preprocessed, preprocess_batch, preprocessing
from tasks.progress import listening, stage
from tasks.publish import MOST_ROWS, ProgressArtifact, publish_table

RECORD_EVERY_S = 0.5
"""A transaction for every few series would take a tenth of a core from the workers beside it."""

CANDIDATES_BYTES = 8 * 2**20
"""Size of 300 candidates of a series before compression, nearly all of it patches."""

SPARE_BYTES = 256 * 2**20
"""Room for the catalog, Prefect's and MLflow's databases beside the volumes."""


class RefusedSeries(BaseModel):
    """A series that could not be used, and why."""

    series_instance_uid: str
    reason: str
    sentence: str


class FlaggedSeries(BaseModel):
    """A stored series whose pixels look wrong, and how."""

    series_instance_uid: str
    flags: tuple[str, ...]
    sentence: str


class PreprocessReport(BaseModel):
    """What became of the series of a source.

    Parameters
    ----------
    found, usable : int
        CT series, and those of them that can be used.
    done, reused : int
        Volumes that were made, and volumes that were there already.
    verified : int
        Of the reused ones, those whose files had changed: their pixels were read again, and are the same.
    completed : int
        Of the reused ones, those that had no nodule candidates yet: their pixels were read again to find them.
    refused : list of RefusedSeries
        CT series that could not be used, at the index or later.
    others : dict
        Series that are passed over, by modality: X-rays, plans, reports, localizers.
    beside : OtherFiles
        Files beside the images.
    collections : tuple of Collection
        What was taken of the public archive.
    """

    found: int
    usable: int
    done: int
    reused: int
    verified: int = 0
    completed: int = 0
    refused: list[RefusedSeries]
    flagged: list[FlaggedSeries] = []
    others: dict[str, int] = {}
    beside: OtherFiles = OtherFiles()
    collections: tuple[Collection, ...] = ()
    seconds: float
    notice: str = "Research use only."


@flow(name="preprocess")
def preprocess(
    source: Annotated[
        str | None, ParameterHelp("Where the images are; nothing: the archive of the configuration.")
    ] = None,
    config: Settings = None,
) -> PreprocessReport:
    """Bring every usable series of a source into the store of the workspace.

    Parameters
    ----------
    source : str, optional
        Where the images are; by default the archive of the configuration.
    config : Config, optional
        Settings over those of the worker.
    """
    started_s, config = time.monotonic(), resolve_config(config)
    images = parse_source(resolve_source(source, config.archive, "archive"), config.access)
    store = training_store(config)
    check_source_and_store(images, store)
    with at_work(config.workspace, "preprocess", catalog=config.catalog):
        index = index_source(images, config)
        brought = preprocess_missing(index, config, store)
    announce_labelled(brought.committed, config)
    report = publish_preprocessed(index, brought, seconds=time.monotonic() - started_s)
    return report.model_copy(update={"flagged": flagged_series(brought, store)})


def check_source_and_store(source: ImageSource, store: StoreAddress) -> None:
    """Tell of a wrong source or store before anything starts or is written.

    Raises
    ------
    SourceError
        If the source names nothing.
    StoreError
        If the store is of another configuration, or is something else.
    """
    source.check()
    if store.folder is None or store.folder.exists():
        store.open(create=True)


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
            if found.candidates or not address.candidates:
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


def flagged_series(brought: Preprocessed, store: StoreAddress) -> list[FlaggedSeries]:
    """Return the stored series whose pixels look wrong, with a sentence for each; only their full records are read."""
    uids = sorted(brought.flagged)
    records = store.open().records(uids)
    return [
        FlaggedSeries(
            series_instance_uid=uid,
            flags=brought.flagged[uid],
            sentence=" ".join(one.sentence for one in pixel_warnings(record)),
        )
        for uid, record in zip(uids, records, strict=True)
    ]


def preprocess_series_in_batches(
    waiting: list[Series],
    brought: Preprocessed,
    config: Config,
    store: StoreAddress,
    record: Callable[[Preprocessed], None],
) -> None:
    """Preprocess series on one cluster, in batches; without series no cluster is started.

    However it ends, `record` has been told of every series that is in the store, and `brought` has them.
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
    """Yield a function that passes on what it is told every `RECORD_EVERY_S`, and the rest however the block ends."""
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


def check_room(volumes: int, workspace: Path, store: StoreAddress) -> None:
    """Refuse to start what would fill the disk.

    Raises
    ------
    ResourceError
        If the disk of the workspace has less room than the volumes need uncompressed.
    """
    place = next(folder for folder in [workspace.absolute(), *workspace.absolute().parents] if folder.exists())
    on_disk = volumes if store.folder else 0
    each_bytes = volume_bytes(store.preprocess) + (CANDIDATES_BYTES if store.candidates else 0)
    needed_bytes = on_disk * each_bytes + SPARE_BYTES
    free_bytes = shutil.disk_usage(place).free
    if free_bytes < needed_bytes:
        raise ResourceError(
            f"workspace {workspace}: {on_disk} volumes must fit on the disk, need {_gib(needed_bytes)}, "
            f"got {_gib(free_bytes)} free; free some, or choose another --workspace"
        )


def volume_bytes(shape: PreprocessConfig) -> int:
    """Return the size of a stored volume before compression: two channels of int16, at full and at half size.

    Examples
    --------
    >>> volume_bytes(PreprocessConfig())
    5324800
    """
    full = 2 * shape.slices * shape.size**2 * 2
    return full + full // 4


def publish_preprocessed(index: Index, brought: Preprocessed, *, seconds: float) -> PreprocessReport:
    """Sum up, and put the refused series on the run's page."""
    refused = [
        RefusedSeries(series_instance_uid=verdict.series_instance_uid, reason=verdict.reason, sentence=verdict.sentence)
        for verdict in index.refused
    ]
    refused += [
        RefusedSeries(series_instance_uid=uid, reason=refusal.reason, sentence=refusal.sentence)
        for uid, refusal in brought.refused.items()
    ]
    shown = [
        series.model_dump() for series in refused if series.reason != VerdictReason.ERASED
    ]  # Prefect would keep the rest
    publish_table("refused-series", shown, _table_title(len(shown)))
    return PreprocessReport(
        found=len(index.in_question),
        usable=len(index.usable),
        done=len(brought.committed),
        reused=len(brought.reused) + len(brought.verified) + len(brought.completed),
        verified=len(brought.verified),
        completed=len(brought.completed),
        refused=refused,
        others=index.others,
        beside=index.beside,
        collections=index.collections,
        seconds=round(seconds, 3),
    )


def _table_title(refused: int) -> str:
    more = refused - MOST_ROWS
    return "Series that could not be used" + (f"; {more} more are in the catalog" if more > 0 else "")


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:.2f} GiB"
