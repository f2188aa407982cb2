"""What the name of a source means: a folder, a list of places, a bucket, a PACS, or the public archive."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lidcflow.config import Access
from lidcflow.errors import EmptySource, SourceError
from lidcflow.objects import S3, split_url
from lidcflow.pacs.client import Pacs
from lidcflow.pacs.places import is_pacs, place_of, series_url
from lidcflow.pacs.query import find_series
from lidcflow.source import idc
from lidcflow.source.bucket import list_bucket
from lidcflow.source.files import Listing, PacsSeries, joined
from lidcflow.source.folder import check_listable, list_folder, list_one_file


def list_pacs(source: str, access: Access) -> Listing:
    """List the series that a PACS says it holds; what they consist of is found when their headers are read.

    Parameters
    ----------
    source : str
        ``pacs:NAME`` or the address of a DICOMweb service, or of a study or series in it.
    access : Access
        How it is reached.

    Raises
    ------
    SourceError
        If it is no DICOMweb service, or not in the configuration.
    PacsError
        If it is away, or refuses access.
    """
    place = place_of(source, access)
    with Pacs(place.service) as pacs:
        found = find_series(pacs, place)
    series = [
        PacsSeries(series_url(place.service, one.study_instance_uid, one.series_instance_uid), one.n_instances)
        for one in found
    ]
    return Listing(source, (), series=tuple(series))


LONGEST_LIST_BYTES = 256 * 2**20
"""A million paths take about 100 MB."""

OnSeries = Callable[[int, int], None]


def is_bucket(source: str) -> bool:
    """Tell whether a source names a bucket."""
    return source.startswith(f"{S3}://")


def check_source(source: str, access: Access = Access()) -> None:  # noqa: B008, frozen
    """Tell of a wrong source before anything starts; nothing is listed, and no network is needed.

    Parameters
    ----------
    source : str
        ``/archive``, ``studies.txt``, ``s3://bucket/prefix``, ``pacs:main``, ``https://host/dicom-web`` or
        ``idc:lidc_idri``.
    access : Access
        The PACS that are known by name.

    Raises
    ------
    SourceError
        If it names nothing.

    Examples
    --------
    >>> check_source(".")
    """
    _check_place(source, access)
    if _is_list(source):
        _lines(Path(source))


def list_source(source: str, access: Access, on_series: OnSeries | None = None) -> Listing:
    """List the files of a source.

    Parameters
    ----------
    source : str
        As for `check_source`.
    access : Access
        How buckets and PACS are reached.
    on_series : callable, optional
        Called with series listed and series in all, when they come from the public archive.

    Raises
    ------
    SourceError
        If it names nothing.
    ResourceError
        If storage or a PACS does not answer.
    """
    if _is_list(source):
        return _list_lines(Path(source), access, on_series)
    return _list_place(source, access, on_series)


def _is_list(source: str) -> bool:
    return not _is_remote(source) and Path(source).is_file()


def _is_remote(place: str) -> bool:
    return idc.is_archive_name(place) or is_bucket(place) or is_pacs(place)


def _check_place(place: str, access: Access) -> None:
    if idc.is_archive_name(place):
        idc.find_series(place)
    elif is_bucket(place):
        _check_url(place)
    elif is_pacs(place):
        place_of(place, access)
    elif not Path(place).is_dir() and not Path(place).is_file():
        raise SourceError(
            f"source {place}: must be a folder or a list file of this machine, s3://bucket/prefix, pacs:name, "
            "https://host/dicom-web or idc:name, got nothing; check the path"
        )
    elif Path(place).is_dir():
        check_listable(Path(place))


def _list_place(place: str, access: Access, on_series: OnSeries | None) -> Listing:
    _check_place(place, access)
    if idc.is_archive_name(place):
        return idc.list_series(place, idc.find_series(place), access, on_series)
    if is_bucket(place):
        return list_bucket(place, access)
    if is_pacs(place):
        return list_pacs(place, access)
    path = Path(place)
    return list_folder(path) if path.is_dir() else list_one_file(path)


def _list_lines(file: Path, access: Access, on_series: OnSeries | None) -> Listing:
    """List the place in every line; a line that names nothing does not stop the others."""
    listings: list[Listing] = []
    missing: list[int] = []
    for number, line in enumerate(_lines(file), start=1):
        place = line.strip()
        if not place or place.startswith("#"):
            continue
        try:
            listing = _list_place(_beside(file, place), access, on_series)
            listings.append(listing)
            empty = not (listing.files or listing.series or listing.incomplete)
            missing += [number] if empty and (is_bucket(place) or is_pacs(place)) else []
        except (SourceError, OSError, ValueError):
            missing.append(number)
    return joined(str(file), listings, tuple(missing))


def _lines(file: Path) -> list[str]:
    size_bytes = file.stat().st_size
    try:
        if size_bytes > LONGEST_LIST_BYTES:
            raise ValueError
        text = file.read_text(encoding="utf-8-sig")
        if "\0" in text:
            raise ValueError
    except (ValueError, OSError):
        raise SourceError(
            f"source {file}: a list must be a text file with a path, folder or URL a line, got something else; "
            "name the folder to read DICOM files"
        ) from None
    if not text.strip():
        raise EmptySource(f"source {file}: a list must name at least one place, got an empty file")
    return text.splitlines()


def _beside(file: Path, place: str) -> str:
    """Take a path relative to the folder of the list."""
    return place if _is_remote(place) else str(file.parent / place)


def _check_url(url: str) -> None:
    try:
        split_url(url)
    except ValueError as error:
        raise SourceError(f"source {url}: {error}") from None
