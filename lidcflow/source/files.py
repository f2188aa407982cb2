"""The listing of a source: files with their sizes, and what could not be listed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from lidcflow.dicom.records import Attribution, Collection


class SourceFile(NamedTuple):
    """A file that may be a DICOM image.

    Parameters
    ----------
    path : str
        Absolute path, or an object URL as ``s3://bucket/key`` or ``idc://bucket/key``; never written anywhere.
    size_bytes : int
        Its size when it was listed.
    version : str
        Changes whenever the content may have changed: see `lidcflow.source.versions`; the ETag of an object, or its
        time of modification where its store gives none.
    """

    path: str
    size_bytes: int
    version: str


class PacsSeries(NamedTuple):
    """A series that a PACS reports.

    Parameters
    ----------
    url : str
        Its address in DICOMweb, ``.../studies/STUDY/series/SERIES``.
    n_instances : int, optional
        How many instances it has, where the PACS tells.
    """

    url: str
    n_instances: int | None

    @property
    def study_instance_uid(self) -> str:
        """Study that it is of."""
        return self.url.rsplit("/", 3)[1]

    @property
    def series_instance_uid(self) -> str:
        """Which one it is."""
        return self.url.rpartition("/")[2]


@dataclass(frozen=True)
class Listing:
    """The files of a source, and the series of a PACS.

    Parameters
    ----------
    name : str
        The source as its user wrote it, for sentences.
    files : sequence of SourceFile
        Sorted by path, each once; those of a large source are set aside, see `lidcflow.source.shelf`.
    unlistable : int
        Folders whose content may not be listed.
    missing_lines : tuple of int
        Lines of a list file, from 1, that name nothing.
    collections : tuple of Collection
        What the files belong to, when they come from the public archive.
    attributions : mapping of str to Attribution
        For each folder of files from the public archive.
    incomplete : mapping of str to str
        A sentence for each SeriesInstanceUID that is not whole in the public archive.
    resized : frozenset of str
        SeriesInstanceUIDs whose size is not what the public archive's index says.
    series : tuple of PacsSeries
        Sorted by address, each once; their instances are not among the files.
    of_pacs : bool
        Whether the source is a PACS.
    """

    name: str
    files: Sequence[SourceFile]
    unlistable: int = 0
    missing_lines: tuple[int, ...] = ()
    collections: tuple[Collection, ...] = ()
    attributions: Mapping[str, Attribution] = field(default_factory=dict)
    incomplete: Mapping[str, str] = field(default_factory=dict)
    resized: frozenset[str] = frozenset()
    series: tuple[PacsSeries, ...] = ()
    of_pacs: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing was found, nor the name of anything that is not whole."""
        return not (self.files or self.series or self.incomplete)

    @property
    def n_files(self) -> int:
        """Number of files, and of a PACS's instances as far as it reports them."""
        return len(self.files) + sum(series.n_instances or 0 for series in self.series)


def parent_of(path: str) -> str:
    """Return what a path or an object URL has before its last slash.

    Examples
    --------
    >>> parent_of("idc://bucket/series/1.dcm")
    'idc://bucket/series'
    """
    return path.rpartition("/")[0]
