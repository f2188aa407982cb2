"""Collect what was read in stored series: by the sources of labels and, if asked for, by readers' marks on reports."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from lidcflow.config import Config, LabelConfig
from lidcflow.errors import StoreError
from lidcflow.labels.collect import Collected, FullRecords, collect_nodules
from lidcflow.labels.nodules import join_overlapping
from lidcflow.labels.readings import Origin, Problem, UnusedReason
from lidcflow.report.folder import UNKNOWN_STUDY, ReportKey, read_recommendation, report_folder
from lidcflow.report.mark_labels import KIND, marks_of_reading, readings_of_marks, why_not_read
from lidcflow.report.marks import FILE, read_feedback
from lidcflow.store.record import VolumeRecord
from lidcflow.store.volumes import VolumeSummary

Volumes = Iterable[VolumeSummary | VolumeRecord]

Progress = Callable[[int, int], None]


def collect_readings(
    records: Volumes,
    config: LabelConfig,
    reports: Path | None,
    on_progress: Progress | None,
    full: FullRecords | None = None,
) -> Collected:
    """Find the nodules of stored series; marks label only a series that no source has read.

    Parameters
    ----------
    records : iterable of VolumeSummary or VolumeRecord
        The stored volumes; in short is enough, with `full`.
    config : LabelConfig
        Names the sources, and whether marks count.
    reports : Path, optional
        Folder of reports with their marks; without one, no marks are looked for.
    on_progress, full
        As for `lidcflow.labels.collect.collect_nodules`.

    Raises
    ------
    LabelError
        If a source of readings is not there.
    """
    volumes = list(records)
    collected = collect_nodules(volumes, config.sources, on_progress, full=full)
    if config.marks and reports:
        for volume in volumes:
            _take_marks(volume, collected, reports)
    return collected


def readings_for(records: Volumes, config: Config, on_progress: Progress | None, full: FullRecords) -> Collected:
    """Find the nodules of stored series as `collect_readings` does, by a whole configuration."""
    return collect_readings(records, config.labels, config.reports_path, on_progress, full)


def _take_marks(volume: VolumeSummary | VolumeRecord, collected: Collected, reports: Path) -> None:
    """Label a series from the marks on its report, if no source has read the series and the reading is whole."""
    uid = volume.series_instance_uid
    if uid in collected.nodules or not _is_unread(uid, collected):
        return None
    key = ReportKey(volume.study_instance_uid or UNKNOWN_STUDY, uid)
    folder = report_folder(reports, key)
    history = read_feedback(folder) if folder else ()
    if not history:
        return None
    try:
        said = read_recommendation(reports, key)
    except StoreError:
        return None
    if said is None or said.volume is None or said.volume.volume_digest != volume.volume_digest:
        return _refuse(uid, "marks must be about the volume that is stored, got those of another", collected)
    marks = marks_of_reading(said, history)
    if reason := why_not_read(said, marks):
        return _refuse(uid, reason, collected)
    readings = readings_of_marks(said, marks, volume.edges_mm)
    collected.nodules[uid] = join_overlapping(readings, volume.slice_spacing_mm / 2)
    collected.marked[uid] = len(marks)
    collected.left_out.pop(uid, None)
    collected.problems = [one for one in collected.problems if one.series_instance_uid != uid]
    return None


def _is_unread(uid: str, collected: Collected) -> bool:
    """Return whether no source says anything of a series: one that can't be used as it is stays left out."""
    reasons = {one.reason for one in collected.problems if one.series_instance_uid == uid}
    return reasons <= {UnusedReason.NOT_READ}


def _refuse(uid: str, reason: str, collected: Collected) -> None:
    sentence = f"series {uid}: {reason}; judge it again on its page, or leave labels.marks off"
    collected.left_out[uid] = sentence
    collected.problems = [one for one in collected.problems if one.series_instance_uid != uid]
    collected.problems.append(Problem(Origin(KIND, FILE), UnusedReason.NOT_READ, sentence, uid))
