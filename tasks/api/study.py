"""Run a release on a DICOM folder in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from lidcflow.catalog.locks import at_work
from lidcflow.config import Config
from lidcflow.dicom.records import VerdictReason
from lidcflow.dicom.values import is_uid
from lidcflow.errors import ReleaseError
from lidcflow.release.pins import EMBEDDED
from lidcflow.release.record import ReleaseRecord
from lidcflow.report.rank import not_evaluated
from lidcflow.series.verdicts import Index
from lidcflow.source.places import checked_source
from lidcflow.store.address import inbox_store
from tasks.api.result import SeriesResult, StudyResults
from tasks.api.settings import settings_for, temporary_settings, with_section
from tasks.api.source import bring
from tasks.infer_series import config_for, infer_stored
from tasks.source import check_holds_ct, find_series
from tasks.tracking.in_force import configured_release
from tasks.tracking.record import CHAMPION


def read_study(
    source: str | Path,
    release: str | int | None = None,
    *,
    tracking: str | None = None,
    workspace: str | Path | None = None,
    config: str | Path | None = None,
) -> StudyResults:
    """Recommend slices of each CT series of a source, as `lidcflow infer` does.

    Parameters
    ----------
    source : str or Path
        Folder with the DICOM files of a study, or any other source that `lidcflow infer` takes.
    release : str or int, optional
        ``"embedded"`` for the release that ships with lidcflow, else a version number or an alias such as
        ``"champion"``. By default the champion where `tracking` is given, else the embedded release.
    tracking : str, optional
        Address of MLflow that has the release: ``http://...`` or ``sqlite:///...``; by default the database of the
        workspace.
    workspace : str or Path, optional
        Folder that keeps the volumes for the next call; by default a temporary one.
    config : str or Path, optional
        Configuration file; by default the settings are the defaults.

    Returns
    -------
    StudyResults
        A result for each CT series, ordered by study and series; a notebook shows them as tables.

    Raises
    ------
    SourceError
        If the source is missing or holds no CT.
    ReleaseError
        If there is no such release, or its models are not those that it was made of.
    TrackingUnavailable
        If the MLflow server does not answer.
    ResourceError
        If the disk is full.

    Examples
    --------
    >>> for result in lf.read_study("dicom/study-1"):  # doctest: +SKIP
    ...     print(result.verdict, result.ranges[["first_slice", "last_slice"]])
    """
    reference = str(release or (CHAMPION if tracking else EMBEDDED))
    if reference != EMBEDDED and tracking is None and workspace is None:
        raise ReleaseError(
            f"release {reference}: the MLflow that has it must be named, got neither tracking nor workspace; name one, "
            "or leave release out for the one that ships with lidcflow"
        )
    with _settings(config, workspace) as settings:
        settings = with_section(settings, "infer", {"release": reference})
        settings = with_section(settings, "tracking", {"uri": tracking or settings.tracking.uri})
        return read_source(str(source), settings)


def _order(one: SeriesResult) -> tuple[str, str]:
    return one.study_instance_uid or "", one.series_instance_uid


def _settings(config: str | Path | None, workspace: str | Path | None) -> AbstractContextManager[Config]:
    return temporary_settings(config) if workspace is None else nullcontext(settings_for(config, workspace))


def read_source(source: str, settings: Config) -> StudyResults:
    """Recommend slices of each CT series of a source with the release that the settings name."""
    images = checked_source(source, settings.access)
    release = configured_release(settings)
    settings = config_for(release, settings)
    with at_work(settings.workspace, "infer", catalog=settings.catalog):
        found = find_series(images, settings)
        check_holds_ct(images, found)
        results = sorted(_results(found, release, settings), key=_order)
    return StudyResults(tuple(results))


def _results(found: Index, release: ReleaseRecord, settings: Config) -> Iterator[SeriesResult]:
    """Yield the result of each CT series that a report can name; none for an erased one."""
    store = inbox_store(settings)
    brought = bring(found, settings, store)
    for uid in brought.series:
        yield SeriesResult(*infer_stored(uid, release, settings))
    for verdict in found.refused:
        if is_uid(verdict.series_instance_uid) and verdict.reason is not VerdictReason.ERASED:
            uids = verdict.series_instance_uid, verdict.study_instance_uid
            synthetic = bool(verdict.synthetic)
            said = not_evaluated(*uids, verdict.reason, verdict.sentence, release.facts(), synthetic=synthetic)
            yield SeriesResult(said)
    for series in found.usable:
        if refused := brought.failed.get(series.series_instance_uid):
            uids = series.series_instance_uid, series.study_instance_uid
            said = not_evaluated(*uids, refused.reason, refused.sentence, release.facts(), synthetic=series.synthetic)
            yield SeriesResult(said)
