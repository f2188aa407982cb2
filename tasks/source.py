"""Sources of series: folders, list files, buckets, the public archive. Prefect is not imported here."""

from collections.abc import Collection, Sequence
from pathlib import Path

from lidcflow.config import Access, Config
from lidcflow.erase.log import standing
from lidcflow.erase.refusals import erased_uids, recognizes, without_erased
from lidcflow.erase.subject import Subject
from lidcflow.erase.tombstones import tombstones_in
from lidcflow.errors import EmptySource
from lidcflow.headers.cache import HeaderCache
from lidcflow.headers.forget import forget_series
from lidcflow.headers.reader import HeaderReader
from lidcflow.privacy import load_secret
from lidcflow.series.find import index_files
from lidcflow.series.verdicts import Index, listed_kinds
from lidcflow.source.download import Downloaded, DownloadPlan, download, plan_download
from lidcflow.source.files import Listing
from lidcflow.source.merge import merge_listings
from lidcflow.source.places import ImageSource
from tasks.cluster.cores import local_workers
from tasks.progress import stage

__all__ = [
    "check_holds_ct",
    "erased_subjects",
    "fetch_files",
    "find_in_places",
    "find_series",
    "plan_files",
]

CACHE_FILE = "headers.db"


def find_series(source: ImageSource, config: Config, *, fresh: bool = False) -> Index:
    """Read every header of a source, or remember it, and judge each series.

    Raises
    ------
    SourceError
        If the source names nothing, or holds no DICOM image.
    ResourceError
        If the storage of objects does not answer.
    """
    with stage("list") as listing:
        found = source.listing(listing.reach)
        if listing.total is None:
            listing.reach(found.n_files, None)
    return _judged(found, config, fresh=fresh)


def check_holds_ct(source: ImageSource, found: Index) -> None:
    """Raise if a source holds series of other modalities alone.

    Raises
    ------
    EmptySource
        With their number by modality.
    """
    if found.in_question or not found.others:
        return
    beside = f" {found.beside.line}" if found.beside.may_hide_images else ""
    raise EmptySource(
        f"source {source}: must hold CT series, got {listed_kinds(found.others)} and no CT; name the folder that holds "
        f"the CT, `lidcflow index SRC --all` lists the others.{beside}".removesuffix(".")
    )


def find_in_places(name: str, places: Sequence[ImageSource], config: Config) -> Index:
    """Read every header in some places of a source, and judge each series.

    Raises
    ------
    SourceError, ResourceError
        As for `find_series`.
    """
    return _judged(merge_listings(name, [place.listing() for place in places]), config)


def _judged(found: Listing, config: Config, *, fresh: bool = False) -> Index:
    secret, erased = load_secret(config.patient_key, config.workspace), erased_subjects(config)
    with HeaderCache(config.workspace / CACHE_FILE, secret, fresh=fresh) as cache, stage("index") as indexing:
        forgets = recognizes(erased, secret) if erased else None
        workers = local_workers(config.cluster.workers)
        reader = HeaderReader(secret, access=config.access, workers=workers, cache=cache, forgets=forgets)
        index = index_files(found, reader, config=config.preprocess, on_progress=indexing.reach)
    return refuse_erased(index, erased, config.workspace)


def refuse_erased(index: Index, erased: Collection[Subject], workspace: Path) -> Index:
    """Refuse what was erased and came again, and forget headers that were read before the erasure was known."""
    kept_out = without_erased(index, erased)
    if uids := erased_uids(kept_out):
        forget_series(workspace / CACHE_FILE, uids)
    return kept_out


def erased_subjects(config: Config) -> frozenset[Subject]:
    """Return whose erasures stand, by the catalog and by the workspace's log: an arm's store has its own catalog."""
    in_catalog = {tombstone.subject for tombstone in tombstones_in(config.catalog)}
    return standing(config.workspace) | in_catalog


def plan_files(source: ImageSource) -> DownloadPlan:
    """Find what a download of a source would fetch.

    Raises
    ------
    SourceError
        If the source can't be fetched, or holds nothing.
    ResourceError
        If storage does not answer.
    """
    with stage("list") as listing:
        return plan_download(source, listing.reach)


def fetch_files(plan: DownloadPlan, folder: Path, access: Access) -> Downloaded:
    """Fetch the files of a plan that a folder does not hold yet.

    Raises
    ------
    ResourceError
        If the disk lacks room, or storage does not answer.
    """
    with stage("download", len(plan.wanted)) as fetching:
        return download(plan, folder, access, fetching.advance)
