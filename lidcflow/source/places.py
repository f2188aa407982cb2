"""A source as a value: its text is parsed once, and no other module asks a text what kind of source it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import ClassVar

from lidcflow.config import Access
from lidcflow.dicom.records import Collection
from lidcflow.errors import EmptySource, SourceError
from lidcflow.objects import S3, split_url
from lidcflow.pacs.address import PacsPlace, PacsService, is_pacs, parse_address
from lidcflow.source import idc
from lidcflow.source.bucket import list_bucket
from lidcflow.source.files import Listing
from lidcflow.source.folder import check_listable, list_folder, list_one_file
from lidcflow.source.merge import merge_listings

LONGEST_LIST_BYTES = 256 * 2**20
"""A million paths take about 100 MB."""

OnSeries = Callable[[int, int], None]


@dataclass(frozen=True)
class ImageSource(ABC):
    """A source of images; sources of the same text are equal.

    Parameters
    ----------
    text : str
        The source as its user wrote it: what configurations, parameters of runs and rows of the catalog keep.
    access : Access
        How buckets and PACS are reached.
    """

    text: str
    access: Access = field(default_factory=Access, repr=False, compare=False)

    may_be_empty: ClassVar[bool] = True
    """Whether such a source can exist and be empty; an empty prefix or study does not exist."""

    def __str__(self) -> str:
        return self.text

    @abstractmethod
    def check(self) -> None:
        """Raise for a wrong source before anything starts; nothing is listed, and no network is needed.

        Raises
        ------
        SourceError
            If the source names nothing.
        """

    def listing(self, on_series: OnSeries | None = None) -> Listing:
        """List the files of the source.

        Parameters
        ----------
        on_series : callable, optional
            Called with series listed and series in all, when they come from the public archive.

        Raises
        ------
        SourceError
            If the source names nothing.
        ResourceError
            If storage or a PACS does not answer.
        """
        self.check()
        return self._listed(on_series)

    @abstractmethod
    def _listed(self, on_series: OnSeries | None, /) -> Listing:
        """List the files of a source that has been checked."""

    @property
    def service(self) -> PacsService | None:
        """The DICOMweb service that the source lies in; None unless the source is a PACS.

        Raises
        ------
        SourceError
            If there is no such service in the configuration, or an address or a UID is none.
        """
        return None

    def encloses(self, folder: Path) -> bool:  # noqa: ARG002
        """Return whether a folder of this machine lies in the source: what is written there would be read again."""
        return False

    def collections(self) -> tuple[Collection, ...]:
        """Return the collections of the public archive that the source takes; of other sources there are none."""
        return ()


class FolderSource(ImageSource):
    """A folder of this machine, or a path at which one may be later."""

    @property
    def path(self) -> Path:
        """The folder."""
        return Path(self.text)

    def check(self) -> None:
        """Raise unless the folder is named and there, and can be listed."""
        if not self.text.strip():  # as a path, the current folder
            raise SourceError("source: must name a folder, a list or an address, got an empty text; name one")
        if not self.path.is_dir():
            raise _nothing_at(self.text)
        check_listable(self.path)

    def _listed(self, _: OnSeries | None, /) -> Listing:
        return list_folder(self.path)

    def encloses(self, folder: Path) -> bool:
        """Return whether a folder lies in this one, by what links lead to."""
        return self.path.is_dir() and folder.resolve().is_relative_to(self.path.resolve())


class FileSource(ImageSource):
    """A single file, which only a list names: a file that is a source by itself is a list."""

    def check(self) -> None:
        """Raise unless the file is there."""
        if not Path(self.text).is_file():
            raise _nothing_at(self.text)

    def _listed(self, _: OnSeries | None, /) -> Listing:
        return list_one_file(Path(self.text))


class ListSource(ImageSource):
    """A text file that names another source or a single file in each line."""

    def check(self) -> None:
        """Raise unless the list is a text file, and one of its lines at least may name something.

        Such a file is mostly no list: a report, or a note beside the images.
        """
        if not Path(self.text).is_file():
            raise _nothing_at(self.text)
        if not any(self._may_name(line) for _, line in self._named()):
            raise EmptySource(
                f"source {self.text}: a text file must be a list, with a path, folder or URL a line, got no line that "
                "names anything; name the folder that holds the series"
            )

    def _listed(self, on_series: OnSeries | None, /) -> Listing:
        """List the source in every line; a line that names nothing does not stop the others."""
        listings: list[Listing] = []
        missing: list[int] = []
        for number, line in self._named():
            try:
                place = self._place(line)
                listing = place.listing(on_series)
            except (SourceError, OSError, ValueError):
                missing.append(number)
                continue
            listings.append(listing)
            missing += [number] if listing.is_empty and not place.may_be_empty else []
        return merge_listings(self.text, listings, tuple(missing))

    def _named(self) -> Iterator[tuple[int, str]]:
        """Yield number and text of every line that is no comment."""
        for number, line in enumerate(_lines(Path(self.text)), start=1):
            if (text := line.strip()) and not text.startswith("#"):
                yield number, text

    def _may_name(self, text: str) -> bool:
        """Return whether a line passes the check of its place."""
        try:
            self._place(text).check()
        except (SourceError, OSError, ValueError):
            return False
        return True

    def _place(self, text: str) -> ImageSource:
        """Parse a line; paths are relative to the folder of the list."""
        return _remote(text, self.access) or _local(str(Path(self.text).parent / text), self.access, FileSource)


class BucketSource(ImageSource):
    """A prefix in a bucket, or one object: ``s3://bucket/prefix``."""

    may_be_empty: ClassVar[bool] = False

    def check(self) -> None:
        """Raise unless the URL names a bucket."""
        try:
            split_url(self.text)
        except ValueError as error:
            raise SourceError(f"source {self.text}: {error}") from None

    def _listed(self, _: OnSeries | None, /) -> Listing:
        return list_bucket(self.text, self.access)


class ArchiveSource(ImageSource):
    """A part of the public archive: ``idc:lidc_idri``, or a patient, study or series of the archive."""

    def check(self) -> None:
        """Raise unless the archive's index has CT of that name."""
        idc.idc_series(self.text)

    def _listed(self, on_series: OnSeries | None, /) -> Listing:
        return idc.list_series(self.text, idc.idc_series(self.text), self.access, on_series)

    def collections(self) -> tuple[Collection, ...]:
        """Return the collections that the name takes."""
        return idc.collections_of(idc.idc_series(self.text))


class PacsSource(ImageSource):
    """A PACS, or a study or series in it: ``pacs:main``, or ``https://host/dicom-web``."""

    may_be_empty: ClassVar[bool] = False

    def check(self) -> None:
        """Raise unless the service is known, or the address can be one."""
        parse_address(self.text, self.access)

    def _listed(self, _: OnSeries | None, /) -> Listing:
        listing: Listing = _over_http().list_series(self.text, self.place)
        return listing

    @property
    def place(self) -> PacsPlace:
        """The service, and the part of it.

        Raises
        ------
        SourceError
            As for `service`.
        """
        return parse_address(self.text, self.access)

    @property
    def service(self) -> PacsService:
        """The DICOMweb service."""
        return self.place.service


def parse_source(text: str, access: Access | None = None) -> ImageSource:
    """Parse the text of a source; a text that names nothing is parsed too, and `ImageSource.check` raises for it.

    Parameters
    ----------
    text : str
        ``/archive``, ``studies.txt``, ``s3://bucket/prefix``, ``pacs:main``, ``https://host/dicom-web`` or
        ``idc:lidc_idri``.
    access : Access, optional
        How buckets and PACS are reached.

    Examples
    --------
    >>> parse_source("pacs:main")
    PacsSource(text='pacs:main')
    """
    access = access or Access()
    return _remote(text, access) or _local(text, access, ListSource)


def checked_source(text: str, access: Access | None = None) -> ImageSource:
    """Parse the text of a source, and check the source before anything starts.

    Raises
    ------
    SourceError
        If the source names nothing.

    Examples
    --------
    >>> str(checked_source("."))
    '.'
    """
    source = parse_source(text, access)
    source.check()
    return source


def check_pacs_answers(service: PacsService) -> None:
    """Raise unless a PACS answers, its feed of changes too.

    Raises
    ------
    SourceError
        If it is no DICOMweb service.
    PacsError
        If it is away, or refuses access.
    """
    _over_http().check_answers(service)


def _over_http() -> ModuleType:
    """Return the module that asks a PACS, imported when one is asked."""
    from lidcflow.source import dicomweb  # httpx and httpcore take 0.3 s of CPU, which other sources do without

    return dicomweb


def _remote(text: str, access: Access) -> ImageSource | None:
    """Parse what names a place outside of this machine's folders; return None for everything else."""
    if idc.is_archive_name(text):
        return ArchiveSource(text, access)
    if text.startswith(f"{S3}://"):
        return BucketSource(text, access)
    return PacsSource(text, access) if is_pacs(text) else None


def _local(text: str, access: Access, of_file: type[FileSource | ListSource]) -> ImageSource:
    return of_file(text, access) if Path(text).is_file() else FolderSource(text, access)


def _nothing_at(path: str) -> SourceError:
    return SourceError(
        f"source {path}: must be a folder or a list file of this machine, s3://bucket/prefix, pacs:name, "
        "https://host/dicom-web or idc:name, got nothing; check the path"
    )


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
        raise EmptySource(
            f"source {file}: a list must name at least one place, got an empty file; write one in each line"
        )
    return text.splitlines()
