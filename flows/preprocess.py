"""Bring every usable series of a source into the store."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from prefect import flow
from prefect.utilities.annotations import quote
from pydantic import BaseModel

from lidcflow.config import Config
from lidcflow.ct.records import Beside, Collection
from lidcflow.ct.series import Index, Series
from lidcflow.errors import ResourceError
from lidcflow.objects import is_object_url
from lidcflow.store.catalog import Catalog
from lidcflow.store.volumes import VolumeStore
from tasks.cluster import open_cluster
from tasks.index import index_source
from tasks.preprocess import Preprocessed, preprocess_batch
from tasks.progress import listening, stage
from tasks.publish import ProgressArtifact, publish_table
from tasks.source import check_source

SPARE_BYTES = 256 * 2**20
"""Room for the catalog, Prefect's and MLflow's databases beside the volumes."""


class RefusedSeries(BaseModel):
    """A series that could not be used, and why."""

    series_instance_uid: str
    reason: str
    sentence: str


class PreprocessReport(BaseModel):
    """What became of the series of a source."""

    found: int
    usable: int
    done: int
    reused: int
    refused: list[RefusedSeries]
    beside: Beside = Beside()
    collections: tuple[Collection, ...] = ()
    seconds: float
    notice: str = "Research use only."


@flow(name="preprocess")
def preprocess(source: str, config: Config) -> PreprocessReport:
    """Bring every usable series under `source` into the store of the workspace."""
    started_s = time.monotonic()
    check_places(source, config)
    index = index_source(source, config)
    brought = bring_all(index, config)
    return publish(index, brought, seconds=time.monotonic() - started_s)


def check_places(source: str, config: Config) -> None:
    """Tell of a wrong source or store before anything starts or is written.

    Raises
    ------
    SourceError
        If the source names nothing.
    StoreError
        If the store is of another configuration, or is something else.
    """
    check_source(source)
    if is_object_url(config.store_root) or Path(config.store_root).exists():
        VolumeStore.of(config, create=True)


def bring_all(index: Index, config: Config) -> Preprocessed:
    """Bring every usable series of an index into the store, and the catalog up to date.

    Raises
    ------
    ResourceError
        If the disk lacks room for the volumes, or the cluster does not start.
    """
    with Catalog(config.catalog) as catalog:
        catalog.record_verdicts(index)
        reused, waiting = split_current(index.usable, config)
        brought = replace(bring_in(waiting, config), reused=reused)
        catalog.record_committed(brought.stored, config.preprocess.digest)
        catalog.record_failed(brought.refused)
    return brought


def split_current(usable: list[Series], config: Config) -> tuple[dict[str, str], list[Series]]:
    """Divide series into those the store holds as they are, with their volumes' digests, and those to be worked on."""
    store = VolumeStore.of(config, create=True)
    current: dict[str, str] = {}
    waiting: list[Series] = []
    for series in usable:
        if store.is_current(series):
            current[series.series_instance_uid] = store.record(series.series_instance_uid).volume_digest
        else:
            waiting.append(series)
    return current, waiting


def bring_in(waiting: list[Series], config: Config) -> Preprocessed:
    """Preprocess series batch by batch on one cluster; without series no cluster is started."""
    brought = Preprocessed()
    if not waiting:
        return brought
    check_room(len(waiting), config)
    with (
        open_cluster(config.cluster, "preprocess", scratch=config.scratch_path) as cluster,
        listening(ProgressArtifact()),
        stage("preprocess", len(waiting)) as preprocessing,
    ):
        for batch in batches(waiting, config.cluster.batch_size):
            part = preprocess_batch(quote(batch), cluster.address, config, preprocessing.advance)
            brought.committed.update(part.committed)
            brought.refused.update(part.refused)
    return brought


def batches(series: list[Series], size: int) -> Iterator[list[Series]]:
    """Cut a list into lists of at most `size`.

    Examples
    --------
    >>> list(batches([1, 2, 3], 2))
    [[1, 2], [3]]
    """
    for start in range(0, len(series), size):
        yield series[start : start + size]


def check_room(volumes: int, config: Config) -> None:
    """Refuse to start what would fill the disk.

    Raises
    ------
    ResourceError
        If the disk of the workspace has less room than the volumes need uncompressed.
    """
    place = next(
        folder for folder in [config.workspace.absolute(), *config.workspace.absolute().parents] if folder.exists()
    )
    on_disk = 0 if is_object_url(config.store_root) else volumes
    needed_bytes = on_disk * volume_bytes(config) + SPARE_BYTES
    free_bytes = shutil.disk_usage(place).free
    if free_bytes < needed_bytes:
        raise ResourceError(
            f"workspace {config.workspace}: {on_disk} volumes must fit on the disk, need {_gib(needed_bytes)}, "
            f"got {_gib(free_bytes)} free; free some, or choose another --workspace"
        )


def volume_bytes(config: Config) -> int:
    """Return the size of a stored volume before compression: two channels of int16, at full and at half size.

    Examples
    --------
    >>> volume_bytes(Config())
    5324800
    """
    shape = config.preprocess
    full = 2 * shape.slices * shape.size**2 * 2
    return full + full // 4


def publish(index: Index, brought: Preprocessed, *, seconds: float) -> PreprocessReport:
    """Sum up, and put the refused series on the run's page."""
    refused = [
        RefusedSeries(series_instance_uid=verdict.series_instance_uid, reason=verdict.reason, sentence=verdict.sentence)
        for verdict in index.refused
    ]
    refused += [
        RefusedSeries(series_instance_uid=uid, reason=refusal.reason, sentence=refusal.sentence)
        for uid, refusal in brought.refused.items()
    ]
    publish_table("refused-series", [series.model_dump() for series in refused], "Series that could not be used")
    return PreprocessReport(
        found=len(index),
        usable=len(index.usable),
        done=len(brought.committed),
        reused=len(brought.reused),
        refused=refused,
        beside=index.beside,
        collections=index.collections,
        seconds=round(seconds, 3),
    )


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:.2f} GiB"
