"""All reports at a glance: each is read once, and again when its file changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Lock
from typing import Annotated, TypeVar

from pydantic import BaseModel, Field, ValidationError

from lidcflow.dicom.values import LONGEST_UID
from lidcflow.errors import StoreError
from lidcflow.nodules.finding import Finding
from lidcflow.release.facts import ReleaseFacts
from lidcflow.report.folder import ReportKey, read_plain, report_keys, unreadable
from lidcflow.report.marks import FILE as FEEDBACK
from lidcflow.report.marks import marks_in_force, read_feedback
from lidcflow.report.page import DATA
from lidcflow.report.recommendation import Reason, SeriesWarning, SliceRange, SliceReading, Verdict
from lidcflow.report.told import Glance, glance_of

PAGE_SIZE = 50
UNREADABLE = "unreadable"
VERDICTS = ("ranges", "nothing-above-threshold", "not-evaluated", UNREADABLE)
Kept = TypeVar("Kept")
Stamp = tuple[int, int]


class ReportSummary(BaseModel):
    """The fields of a recommendation that the index shows; parsing only these takes a tenth of the time."""

    synthetic: bool
    release: ReleaseFacts
    verdict: Verdict
    reason: Reason | None = None
    warnings: tuple[SeriesWarning, ...] = ()
    findings: tuple[Finding, ...] = ()
    ranges: tuple[SliceRange, ...] = ()
    ranges_left_out: int = 0
    highest_slices: tuple[SliceReading, ...] = ()
    series_instance_uid: Annotated[str, Field(max_length=LONGEST_UID)]

    @property
    def highest(self) -> float | None:
        """P(nodule) of the best finding, without findings the highest of a slice; None where none was read."""
        if self.findings:
            return self.findings[0].probability
        if self.ranges:
            return self.ranges[0].nodule_at_peak
        return self.highest_slices[0].probabilities.nodule if self.highest_slices else None

    @property
    def told(self) -> Glance:
        """The index entry: the number of warnings, and the highest probability as text."""
        return glance_of(self.warnings, self.highest)

    @property
    def release_name(self) -> str:
        """Name and version, as the index's filter has it."""
        return f"{self.release.name} {self.release.version}"


@dataclass(frozen=True)
class ReportEntry:
    """One report; `glance` is None where its JSON can't be read."""

    key: ReportKey
    written: datetime
    glance: ReportSummary | None
    marks: int = 0

    @property
    def verdict(self) -> str:
        """The verdict, or `UNREADABLE`."""
        return self.glance.verdict if self.glance else UNREADABLE


class ReportIndex:
    """Entries of a folder of reports, newest first; what was read is kept until its file changes.

    Parameters
    ----------
    root : Path
        Folder of the reports; it need not be there yet.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._kept: dict[ReportKey, tuple[Stamp, ReportEntry]] = {}
        self._marks: dict[ReportKey, tuple[Stamp, int]] = {}
        self._one_at_a_time = Lock()

    def entries(self) -> list[ReportEntry]:
        """Return an entry for every report that exists now, newest first."""
        with self._one_at_a_time:
            found = [entry for key in report_keys(self._root) if (entry := self._entry(key))]
            there = {entry.key for entry in found}
            self._kept = {key: kept for key, kept in self._kept.items() if key in there}
            self._marks = {key: kept for key, kept in self._marks.items() if key in there}
        return sorted(found, key=lambda entry: (entry.written, entry.key), reverse=True)

    def _entry(self, key: ReportKey) -> ReportEntry | None:
        folder = self._root / key.study / key.series
        stamp = _stamp(folder / DATA)
        if stamp is None:
            return None
        known = self._kept.get(key)
        if known is None or known[0] != stamp:
            known = self._kept[key] = stamp, _read(folder, key, stamp)
        return replace(known[1], marks=self._count_marks(folder, key))

    def _count_marks(self, folder: Path, key: ReportKey) -> int:
        stamp = _stamp(folder / FEEDBACK)
        if stamp is None:
            return 0
        known = self._marks.get(key)
        if known is None or known[0] != stamp:
            known = self._marks[key] = stamp, len(marks_in_force(read_feedback(folder)))
        return known[1]


@dataclass(frozen=True)
class Filter:
    """Filters of the index; empty fields match everything. Dates are of the report, in UTC, both included."""

    verdict: str = ""
    release: str = ""
    since: str = ""
    until: str = ""
    uid: str = ""

    def __call__(self, entry: ReportEntry) -> bool:
        day = entry.written.date()
        since, until = _day(self.since), _day(self.until)
        return (
            self.verdict in ("", entry.verdict)
            and (not self.release or (entry.glance is not None and entry.glance.release_name == self.release))
            and (since is None or since <= day)
            and (until is None or day <= until)
            and (self.uid.strip() in entry.key.study or self.uid.strip() in entry.key.series)
        )


@dataclass(frozen=True)
class ListingPage:
    """One page of the index: its entries, its number of all, and how many entries there are in all pages."""

    entries: Sequence[ReportEntry]
    number: int
    pages: int
    found: int


def page_of(entries: Sequence[ReportEntry], number: int, size: int = PAGE_SIZE) -> ListingPage:
    """Return one page of the index; a page number out of range gives the nearest page."""
    pages = max(1, -(-len(entries) // size))
    number = min(max(number, 1), pages)
    return ListingPage(entries[(number - 1) * size : number * size], number, pages, len(entries))


def releases_of(entries: Iterable[ReportEntry]) -> list[str]:
    """Name the releases that read something, newest first."""
    found = {(one.glance.release.name, one.glance.release.version) for one in entries if one.glance}
    return [f"{name} {version}" for name, version in sorted(found, reverse=True)]


def count_verdicts(root: Path, name: str, version: int) -> Counter[str]:
    """Count the reports of a release by verdict."""
    glances = [entry.glance for entry in ReportIndex(root).entries() if entry.glance]
    return Counter(one.verdict for one in glances if (one.release.name, one.release.version) == (name, version))


def _read(folder: Path, key: ReportKey, stamp: Stamp) -> ReportEntry:
    written = datetime.fromtimestamp(stamp[0] / 1e9, UTC)
    try:
        glance = ReportSummary.model_validate_json(read_plain(folder / DATA) or b"")
        if glance.series_instance_uid != key.series:
            raise unreadable(key, "that of another series")
    except (ValidationError, StoreError):
        return ReportEntry(key, written, None)
    return ReportEntry(key, written, glance)


def _stamp(file: Path) -> Stamp | None:
    try:
        found = file.lstat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
