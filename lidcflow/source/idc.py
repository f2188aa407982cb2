"""Series of the Imaging Data Commons, the public archive: the one module that knows idc-index-data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from lidcflow.config import Access
from lidcflow.dicom.records import Attribution, Collection
from lidcflow.errors import ResourceError
from lidcflow.objects import IDC
from lidcflow.source.bucket import check_answers, list_bucket
from lidcflow.source.files import Listing, SourceFile
from lidcflow.source.shelf import Shelf

PREFIX = f"{IDC}:"
INDEX = "idc_index.parquet"
MB = 1e6


class ArchiveSeries(NamedTuple):
    """A CT series as the public archive's index describes it.

    Parameters
    ----------
    collection, patient_id, study_instance_uid, series_instance_uid : str
        What it is; patients of the archive are pseudonyms.
    n_files, size_bytes : int
        Objects, and their size in all.
    folder : str
        URL of the prefix that they lie under.
    attribution : Attribution
        Whose it is.
    """

    collection: str
    patient_id: str
    study_instance_uid: str
    series_instance_uid: str
    n_files: int
    size_bytes: int
    folder: str
    attribution: Attribution


def is_archive_name(source: str) -> bool:
    """Return whether a source names a part of the public archive.

    Examples
    --------
    >>> is_archive_name("idc:lidc_idri"), is_archive_name("idc://bucket/key")
    (True, False)
    """
    return source.startswith(PREFIX) and not source.startswith(f"{IDC}://")


@lru_cache(maxsize=4)
def idc_series(source: str) -> tuple[ArchiveSeries, ...]:
    """Find the CT series that a name stands for, in the index that is installed; no network is needed.

    Parameters
    ----------
    source : str
        ``idc:`` with a collection, a PatientID, a StudyInstanceUID or a SeriesInstanceUID, or with a collection and
        one of the others: ``idc:lidc_idri/LIDC-IDRI-0001``.

    Returns
    -------
    tuple of ArchiveSeries
        At least one, by collection, patient, study and series.

    Raises
    ------
    SourceError
        If the archive has no CT of that name.
    ResourceError
        If the index is not installed.
    """
    from lidcflow.source.idc_index import find_rows  # Arrow, which other sources do without

    name = source.removeprefix(PREFIX).strip("/")
    return tuple(sorted(_series_of(row) for row in find_rows(index_file(), name, source)))


def collections_of(found: Iterable[ArchiveSeries]) -> tuple[Collection, ...]:
    """Sum series up by collection and terms.

    Parameters
    ----------
    found : iterable of ArchiveSeries
        Series of the archive.
    """
    parts: defaultdict[Attribution, list[ArchiveSeries]] = defaultdict(list)
    for series in found:
        parts[series.attribution].append(series)
    return tuple(
        Collection(made, len(part), sum(one.n_files for one in part), sum(one.size_bytes for one in part))
        for made, part in parts.items()
    )


def list_series(
    name: str,
    found: Sequence[ArchiveSeries],
    access: Access,
    on_series: Callable[[int, int], None] | None = None,
) -> Listing:
    """List the objects of series, and compare them with the archive's index.

    Parameters
    ----------
    name : str
        The source, for sentences.
    found : sequence of ArchiveSeries
        From `idc_series`.
    access : Access
        How buckets are reached.
    on_series : callable, optional
        Called with series listed and series in all.

    Raises
    ------
    ResourceError
        If the archive does not answer.
    """
    shelf = Shelf()
    incomplete: dict[str, str] = {}
    resized: set[str] = set()
    for done, (series, objects) in enumerate(objects_of(found, access), start=1):
        shelf.add(objects)
        if len(objects) != series.n_files:
            incomplete[series.series_instance_uid] = miscounted(series, len(objects))
        elif abs(sum(file.size_bytes for file in objects) - series.size_bytes) > 1:
            resized.add(series.series_instance_uid)
        if on_series:
            on_series(done, len(found))
    return Listing(
        name,
        shelf.files(),
        collections=collections_of(found),
        attributions={series.folder: series.attribution for series in found},
        incomplete=incomplete,
        resized=frozenset(resized),
    )


def objects_of(found: Sequence[ArchiveSeries], access: Access) -> Iterator[tuple[ArchiveSeries, Sequence[SourceFile]]]:
    """Yield each series with its objects, several prefixes listed at a time.

    Raises
    ------
    ResourceError
        If the archive does not answer.
    """
    check_answers(found[0].folder, access)
    with ThreadPoolExecutor(access.idc.connections) as pool:
        try:
            listings = pool.map(lambda series: list_bucket(series.folder, access), found)
            for series, listing in zip(found, listings, strict=True):
                yield series, listing.files
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def miscounted(series: ArchiveSeries, n_objects: int) -> str:
    """State that the archive holds another number of objects than its index."""
    return (
        f"the public archive must hold its {series.n_files} objects, got {n_objects}; "
        "try later, or update idc-index-data"
    )


def index_file() -> Path:
    """Return the file of the index.

    Raises
    ------
    ResourceError
        If the package is not installed.
    """
    try:
        found = [file for file in metadata.files("idc-index-data") or () if file.name == INDEX]
    except metadata.PackageNotFoundError:
        found = []
    if not found:
        raise ResourceError(
            "public archive: its index must be installed, got no package idc-index-data; pip install 'lidcflow[idc]'"
        )
    return Path(str(found[0].locate()))


def _series_of(row: dict[str, Any]) -> ArchiveSeries:
    return ArchiveSeries(
        row["collection_id"],
        row["PatientID"],
        row["StudyInstanceUID"],
        row["SeriesInstanceUID"],
        row["instanceCount"],
        round(row["series_size_MB"] * MB),
        f"{IDC}://{row['aws_bucket']}/{row['crdc_series_uuid']}",
        Attribution(row["collection_id"], row["license_short_name"], row["source_DOI"]),
    )
