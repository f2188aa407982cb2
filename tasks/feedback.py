"""Bring readers' marks from the reports into the catalog, and sum up those on one release."""

from __future__ import annotations

from pathlib import Path

from lidcflow.config import Config
from lidcflow.evaluate.reader_marks import FeedbackFigures, feedback_figures
from lidcflow.release.record import ReleaseRecord
from lidcflow.report.folder import UNKNOWN_STUDY, report_keys
from lidcflow.report.index import count_verdicts
from lidcflow.report.marks import Mark, read_feedback
from lidcflow.report.marks_table import FeedbackTable


def feedback_on(release: ReleaseRecord, config: Config) -> FeedbackFigures:
    """Sum up the marks on a release's recommendations from the catalog, after the reports' files were read."""
    histories: dict[str, list[Mark]] = {}
    studies: dict[str, str] = {}
    with FeedbackTable(config.catalog) as table:
        collect_marks(config.reports_path, table)
        for row in table.marks(release.name, release.version):
            histories.setdefault(row.series_instance_uid, []).append(row.mark)
            studies[row.series_instance_uid] = row.study_instance_uid or row.series_instance_uid
    return feedback_figures(histories, studies, count_verdicts(config.reports_path, release.name, release.version))


def collect_marks(reports: Path, table: FeedbackTable) -> None:
    """Write every history that lies beside a report into the catalog: a mark may have come while it was away."""
    for key in report_keys(reports):
        if marks := read_feedback(reports / key.study / key.series):
            study = None if key.study == UNKNOWN_STUDY else key.study
            table.replace(key.series, study, marks)
