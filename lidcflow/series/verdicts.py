"""The result of an index: a verdict for every series, and the other files of the source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import overload

from lidcflow.dicom.records import PASSED_OVER, Collection, Series, VerdictReason
from lidcflow.source.files import SourceFile

NO_KIND = "other"


@dataclass(frozen=True)
class Verdict:
    """The index's verdict on one series.

    Parameters
    ----------
    series_instance_uid : str
        As in the header; ``invalid-...`` with a hash where it can't be a UID.
    reason : VerdictReason
        `Reason.USABLE`, or why not.
    sentence : str
        What must hold, what was found, what to do; for usable series what it is.
    n_files, set_aside : int
        Files that carry the UID; localizers, strays and second copies among their images that are not used.
    flags : tuple of str
        What was tolerated, in kebab case.
    series : Series, optional
        Present when usable.
    study_instance_uid : str, optional
        Of a refused series, where its headers agree on a valid one: answers lie beside those of the study.
    example : SourceFile, optional
        One of its files, whose header says whose study it is when an answer is delivered; never printed.
    kind : str
        Of a series that is passed over, what it is: its modality, such as ``DX``, or ``localizer``.
    patients, studies : tuple of str
        Keyed hashes and valid StudyInstanceUIDs that its headers name: several where two series share a UID.
    synthetic : bool, optional
        Whether its headers declare the images synthetic; None where no header arrived.
    """

    series_instance_uid: str
    reason: VerdictReason
    sentence: str
    n_files: int
    set_aside: int = 0
    flags: tuple[str, ...] = ()
    series: Series | None = None
    study_instance_uid: str | None = None
    example: SourceFile | None = field(default=None, repr=False)
    patients: tuple[str, ...] = ()
    studies: tuple[str, ...] = ()
    kind: str = ""
    synthetic: bool | None = None

    @property
    def usable(self) -> bool:
        """Whether the series can be preprocessed."""
        return self.series is not None

    @property
    def passed_over(self) -> bool:
        """Whether the series is skipped because its headers declare another modality, or localizers only."""
        return self.reason in PASSED_OVER


@dataclass(frozen=True, slots=True)
class OtherFiles:
    """Files of a source that are not images, by kind and count alone.

    Parameters
    ----------
    not_dicom, unreadable, archives : int
        Files that are not DICOM; DICOM files whose header can't be read; archives such as zip, which are not opened.
    unlistable : int
        Folders whose content may not be listed.
    missing_lines : tuple of int
        Lines of a list file that name nothing.
    """

    not_dicom: int = 0
    unreadable: int = 0
    archives: int = 0
    unlistable: int = 0
    missing_lines: tuple[int, ...] = ()

    @property
    def may_hide_images(self) -> bool:
        """Whether there may be images that no verdict speaks of."""
        return bool(self.unreadable or self.archives or self.unlistable or self.missing_lines)

    @property
    def line(self) -> str:
        """A sentence for people; empty if there are no such files.

        Examples
        --------
        >>> OtherFiles(not_dicom=2, archives=1).line
        'Beside them: 2 files that are not DICOM, 1 archives (unpack them and index again).'
        """
        kinds = [f"{self.not_dicom} files that are not DICOM"] if self.not_dicom else []
        kinds += [f"{self.unreadable} unreadable DICOM files (copy them again)"] if self.unreadable else []
        kinds += [f"{self.archives} archives (unpack them and index again)"] if self.archives else []
        kinds += [f"{self.unlistable} folders that may not be listed"] if self.unlistable else []
        numbers = ", ".join(map(str, self.missing_lines))
        kinds += [f"lines of the list that name nothing: {numbers}"] if numbers else []
        return f"Beside them: {', '.join(kinds)}." if kinds else ""


def listed_kinds(others: Mapping[str, int]) -> str:
    """List series that are passed over, by modality; empty when there are none.

    Examples
    --------
    >>> listed_kinds({"DX": 290, "SEG": 12, "localizer": 1})
    '290 DX, 12 SEG, 1 localizer series'
    """
    return f"{', '.join(f'{count} {kind}' for kind, count in others.items())} series" if others else ""


@dataclass(frozen=True)
class Index(Sequence[Verdict]):
    """The verdicts on all series of a source, by SeriesInstanceUID, and what else lay there.

    Parameters
    ----------
    verdicts : tuple of Verdict
        One for each series.
    beside : OtherFiles
        What else lay there.
    collections : tuple of Collection
        What was taken of the public archive.
    """

    verdicts: tuple[Verdict, ...]
    beside: OtherFiles = OtherFiles()
    collections: tuple[Collection, ...] = ()

    @property
    def usable(self) -> list[Series]:
        """Series that can be preprocessed."""
        return [verdict.series for verdict in self.verdicts if verdict.series is not None]

    @property
    def refused(self) -> list[Verdict]:
        """Verdicts on CT series that can't; what is no CT volume at all is not among them."""
        return [verdict for verdict in self.verdicts if not verdict.usable and not verdict.passed_over]

    @property
    def in_question(self) -> list[Verdict]:
        """Verdicts on the CT series: usable, or refused."""
        return [verdict for verdict in self.verdicts if not verdict.passed_over]

    @property
    def others(self) -> dict[str, int]:
        """Series that are passed over, by modality: the most frequent first."""
        counts = Counter(verdict.kind or NO_KIND for verdict in self.verdicts if verdict.passed_over)
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    @property
    def not_dicom(self) -> int:
        """Files that are not DICOM."""
        return self.beside.not_dicom

    @property
    def unreadable(self) -> int:
        """DICOM files whose header can't be read."""
        return self.beside.unreadable

    @overload
    def __getitem__(self, item: int) -> Verdict: ...
    @overload
    def __getitem__(self, item: slice) -> tuple[Verdict, ...]: ...
    def __getitem__(self, item: int | slice) -> Verdict | tuple[Verdict, ...]:
        return self.verdicts[item]

    def __len__(self) -> int:
        return len(self.verdicts)

    def __iter__(self) -> Iterator[Verdict]:
        return iter(self.verdicts)
