"""Find what a workspace has under the UIDs of a source: no synthetic series replaces a real one or its report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lidcflow.catalog.series import Catalog
from lidcflow.config import Config
from lidcflow.dicom.values import is_uid
from lidcflow.report.folder import UNKNOWN_STUDY, ReportKey, read_kind
from lidcflow.series.mixed import without_mixed
from lidcflow.series.verdicts import Index, Verdict


def without_mixed_series(index: Index, config: Config, reports: Path | None = None) -> Index:
    """Refuse series that are synthetic where the workspace has a real one of the same UID, or the other way round.

    Parameters
    ----------
    index : Index
        Of a source.
    config : Config
        Of the workspace, whose catalog tells of its stored volumes.
    reports : Path, optional
        Folder of the reports that the series would be answered in.
    """
    with Catalog(config.catalog) as catalog:
        known = catalog.synthetic([verdict.series_instance_uid for verdict in _answered(index)])
    reported = {} if reports is None else dict(_reported(index, reports))
    return without_mixed(index, {**known, **reported})


def _reported(index: Index, reports: Path) -> Iterator[tuple[str, bool]]:
    for verdict in _answered(index):
        study = verdict.series.study_instance_uid if verdict.series else verdict.study_instance_uid
        key = ReportKey(study or UNKNOWN_STUDY, verdict.series_instance_uid)
        if (synthetic := read_kind(reports, key)) is not None:
            yield verdict.series_instance_uid, synthetic


def _answered(index: Index) -> Iterator[Verdict]:
    """Yield the verdicts on series that get an answer, which may be that they can't be evaluated."""
    return (verdict for verdict in index if is_uid(verdict.series_instance_uid) and not verdict.passed_over)
