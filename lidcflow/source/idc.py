"""Series of the Imaging Data Commons, the public archive: the one module that knows idc-index-data."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from lidcflow.config import Access
from lidcflow.dicom.records import Attribution, Collection
from lidcflow.errors import ResourceError, SourceError
from lidcflow.objects import IDC
from lidcflow.source.bucket import check_answers, list_bucket
from lidcflow.source.files import Listing, SourceFile

PREFIX = f"{IDC}:"
ROWS = 16_384
"""Of the index in memory at a time: it has a million, and all of them at once take 700 MiB."""

CLOSE_NAMES = 3
MB = 1e6

_NAMES = ("collection_id", "PatientID", "StudyInstanceUID", "SeriesInstanceUID")
_COLUMNS = (
    *_NAMES,
    "Modality",
    "instanceCount",
    "series_size_MB",
    "license_short_name",
    "source_DOI",
    "aws_bucket",
    "crdc_series_uuid",
)


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
    """Tell whether a source names a part of the public archive.

    Examples
    --------
    >>> is_archive_name("idc:lidc_idri"), is_archive_name("idc://bucket/key")
    (True, False)
    """
    return source.startswith(PREFIX) and not source.startswith(f"{IDC}://")


@lru_cache(maxsize=4)
def find_series(source: str) -> tuple[ArchiveSeries, ...]:
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
    name = source.removeprefix(PREFIX).strip("/")
    found = sorted(_series_of(row) for row in _rows_named(name))
    if not found:
        raise SourceError(_unknown(source, name))
    return tuple(found)


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
    """List the objects of series, and compare them with what the index says.

    Parameters
    ----------
    name : str
        The source, for sentences.
    found : sequence of ArchiveSeries
        From `find_series`.
    access : Access
        How buckets are reached.
    on_series : callable, optional
        Called with series listed and series in all.

    Raises
    ------
    ResourceError
        If the archive does not answer.
    """
    files: list[SourceFile] = []
    incomplete: dict[str, str] = {}
    resized: set[str] = set()
    for done, (series, objects) in enumerate(objects_of(found, access), start=1):
        files += objects
        if len(objects) != series.n_files:
            incomplete[series.series_instance_uid] = miscounted(series, len(objects))
        elif abs(sum(file.size_bytes for file in objects) - series.size_bytes) > 1:
            resized.add(series.series_instance_uid)
        if on_series:
            on_series(done, len(found))
    return Listing(
        name,
        tuple(sorted(files)),
        collections=collections_of(found),
        attributions={series.folder: series.attribution for series in found},
        incomplete=incomplete,
        resized=frozenset(resized),
    )


def objects_of(
    found: Sequence[ArchiveSeries], access: Access
) -> Iterator[tuple[ArchiveSeries, tuple[SourceFile, ...]]]:
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
    """Say that the archive holds another number of objects than its index."""
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
        import idc_index_data
    except ImportError:
        raise ResourceError(
            "public archive: its index must be installed, got no package idc-index-data; pip install 'lidcflow[idc]'"
        ) from None
    return Path(idc_index_data.IDC_INDEX_PARQUET_FILEPATH)


def _rows_named(name: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of CT series that a name stands for."""
    import pyarrow.compute as pc

    collection, _, part = name.rpartition("/")
    for rows in _batches(_COLUMNS):
        wanted = pc.equal(rows["Modality"], "CT")
        named = pc.equal(rows["collection_id"], _collection_id(part))
        for column in _NAMES[1:]:
            named = pc.or_kleene(named, pc.equal(rows[column], part))
        if collection:
            named = pc.and_kleene(named, pc.equal(rows["collection_id"], _collection_id(collection)))
        yield from rows.filter(pc.and_kleene(wanted, named)).to_pylist()


def _batches(columns: Sequence[str]) -> Iterator[Any]:
    """Yield the index in parts: it is one row group, and would be held whole otherwise."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(index_file(), pre_buffer=False) as index:
        yield from index.iter_batches(ROWS, columns=list(columns))


def _collection_id(name: str) -> str:
    """Take a collection's name as people write it: LIDC-IDRI is lidc_idri."""
    return name.lower().replace("-", "_").replace(" ", "_")


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


def _unknown(source: str, name: str) -> str:
    """Say that a name stands for no CT, and which ones are like it."""
    modalities, like = set(), set()
    part = name.rpartition("/")[2]
    for rows in _batches(["collection_id", "PatientID", "Modality"]):
        for collection, patient, modality in set(zip(*(rows[n].to_pylist() for n in range(3)), strict=True)):
            if part == patient or _collection_id(part) == collection:
                modalities.add(modality)
            like |= {collection} if modality == "CT" else set()
            like |= {patient} if modality == "CT" and patient[:4].lower() == part[:4].lower() else set()
    if modalities:
        return f"source {source}: must hold CT, got {', '.join(sorted(modalities))} alone; name another collection"
    close = difflib.get_close_matches(part, sorted(like), n=CLOSE_NAMES)
    hint = (
        f"did you mean {' or '.join(close)}?"
        if close
        else "look for its name at https://portal.imaging.datacommons.cancer.gov"
    )
    return f"source {source}: must name a collection, patient, study or series of the public archive, got none; {hint}"
