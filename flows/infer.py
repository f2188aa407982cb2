"""Run a release on every series of a source: recommended slices, or the reason why a series has none."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from prefect import flow
from pydantic import BaseModel

from flows.config import resolve_config
from flows.missing import preprocess_missing
from flows.mixed import without_mixed_series
from flows.preprocess import check_source_and_store
from lidcflow.catalog.locks import at_work
from lidcflow.config import Config
from lidcflow.dicom.values import is_uid
from lidcflow.erase.refusals import erased_uids
from lidcflow.errors import SeriesRefused
from lidcflow.release.embedded import NAME
from lidcflow.release.facts import ReleaseFacts
from lidcflow.release.record import ReleaseRecord
from lidcflow.report.rank import not_evaluated
from lidcflow.report.recommendation import Recommendation
from lidcflow.report.wording import size
from lidcflow.series.find import Index, VerdictReason
from lidcflow.series.mixed import mixed_series
from lidcflow.source.places import checked_source
from lidcflow.store.address import inbox_store
from tasks.cluster.open import cluster_for
from tasks.documents import check_documents, example_files, write_all_documents
from tasks.index import index_source
from tasks.infer import SeriesResult, infer_volumes, known_results, report_refused
from tasks.infer_series import config_for
from tasks.preprocess import Preprocessed
from tasks.progress import listening
from tasks.publish import ProgressArtifact, publish_table
from tasks.run_page import name_run
from tasks.tracking.connection import Tracking
from tasks.tracking.in_force import release_in_force
from tasks.tracking.model_files import check_models

UNANSWERED = (VerdictReason.ERASED, VerdictReason.SYNTHETIC_AND_REAL)
"""Reasons without a report."""


class InferReport(BaseModel):
    """The results for all series of a source.

    Parameters
    ----------
    release : str
        Name and version of the release that read them.
    readings : list of SeriesResult
        One for each series, ordered by study and series.
    reused, refused : int
        Readings that were there already; series that could not be evaluated.
    undocumented : int
        Readings that lack the DICOM documents that were asked for.
    others : dict
        Skipped series that get no result, by modality: X-rays, plans, reports, localizers.
    kept_out : int
        Erased series: they get no result, because results are stored.
    mixed : tuple of str
        A sentence for each series that is real where the workspace has synthetic images of its UID, or the other way
        round: what is there stays.
    embedded_release : bool
        Whether the release is the one that ships with lidcflow.
    """

    release: str
    synthetic_release: bool
    readings: list[SeriesResult]
    reused: int
    refused: int
    others: dict[str, int] = {}
    kept_out: int = 0
    mixed: tuple[str, ...] = ()
    embedded_release: bool = False
    seconds: float
    undocumented: int = 0
    notice: str = "Research use only."


@flow(name="infer")
def infer(source: str, config: Config | None = None, out: Path | None = None, allow_empty: bool = False) -> InferReport:
    """Recommend slices of every series under `source`; reports go to the workspace, or to `out`.

    An inbox that is read on schedule may be empty; with `allow_empty` that is no error.
    """
    started_s, config = time.monotonic(), resolve_config(config)
    images = checked_source(source, config.access)
    check_documents(images, config.infer.documents)
    release = release_in_force(config)
    check_models(Tracking.of(config), release)
    reading = config_for(release, config)
    store = inbox_store(reading)
    check_source_and_store(images, store)
    with at_work(config.workspace, "infer", catalog=config.catalog):
        reports = (out or config.reports_path).absolute()
        index = without_mixed_series(index_source(images, reading, allow_empty=allow_empty), reading, reports)
        name_run(f"read {len(index.usable)} series with {release.name} version {release.version}", reading)
        brought = preprocess_missing(index, reading, store)
        readings = infer_all(index, brought, release, reading, reports)
        readings = with_documents(readings, index, reading)
    return publish_results(readings, release, index, seconds=time.monotonic() - started_s)


def infer_all(
    index: Index, brought: Preprocessed, release: ReleaseRecord, config: Config, folder: Path
) -> list[SeriesResult]:
    """Answer for each series: a reading that is there, a new one, or why there is none."""
    known = known_results(brought.stored, release, config, folder)
    waiting = sorted(set(brought.stored) - {reading.series_instance_uid for reading in known})
    fresh, failed = infer_waiting(waiting, release, config, folder)
    refused = refusals(index, {**brought.refused, **failed}, release.facts())
    answered = [report_refused(said, folder) for said in refused]
    return sorted([*known, *fresh, *answered], key=lambda one: (one.study_instance_uid or "", one.series_instance_uid))


def infer_waiting(
    uids: list[str], release: ReleaseRecord, config: Config, folder: Path
) -> tuple[list[SeriesResult], dict[str, SeriesRefused]]:
    """Read stored volumes on a cluster of processes with Keras; without volumes none is started."""
    if not uids:
        return [], {}
    with (
        cluster_for(config, "read", inbox_store(config)) as cluster,
        listening(ProgressArtifact()),
    ):
        return infer_volumes(uids, release, config, folder, cluster.address)


def with_documents(readings: list[SeriesResult], index: Index, config: Config) -> list[SeriesResult]:
    """Write the DICOM documents of readings, where a folder is set for them."""
    folder = config.infer.documents
    return readings if folder is None else write_all_documents(readings, example_files(index), folder, config.access)


def refusals(index: Index, failed: Mapping[str, SeriesRefused], release: ReleaseFacts) -> Iterator[Recommendation]:
    """Yield the answer for each series that can't be evaluated and that a report can name.

    None for an erased series, and none where it would replace the report on images of the other kind.
    """
    for verdict in index.refused:
        if is_uid(verdict.series_instance_uid) and verdict.reason not in UNANSWERED:
            uids = verdict.series_instance_uid, verdict.study_instance_uid
            synthetic = bool(verdict.synthetic)
            yield not_evaluated(*uids, verdict.reason, verdict.sentence, release, synthetic=synthetic)
    for series in index.usable:
        if refused := failed.get(series.series_instance_uid):
            yield not_evaluated(
                series.series_instance_uid,
                series.study_instance_uid,
                refused.reason,
                refused.sentence,
                release,
                synthetic=series.synthetic,
            )


def publish_results(
    readings: list[SeriesResult], release: ReleaseRecord, index: Index, *, seconds: float
) -> InferReport:
    """Sum up, and put the readings on the run's page."""
    publish_table("readings", [_row(reading) for reading in readings], "Recommended slices, research use only")
    return InferReport(
        release=f"{release.name} version {release.version}",
        synthetic_release=release.synthetic,
        readings=readings,
        reused=sum(reading.reused for reading in readings),
        refused=sum(reading.verdict == "not-evaluated" for reading in readings),
        undocumented=sum(reading.undocumented is not None for reading in readings),
        others=index.others,
        kept_out=len(erased_uids(index)),
        mixed=tuple(verdict.sentence for verdict in mixed_series(index)),
        embedded_release=release.name == NAME,
        seconds=round(seconds, 3),
    )


def _row(reading: SeriesResult) -> dict[str, str]:
    return {
        "study": reading.study_instance_uid or "",
        "series": reading.series_instance_uid,
        "verdict": reading.verdict,
        "findings": "; ".join(
            f"image {found.image}, {size(found)}, P {reading.told.chance(found.probability)}".replace("\xa0", " ")
            for found in reading.findings
        ),
        "slices": ", ".join(f"{found.first_slice}-{found.last_slice}" for found in reading.ranges),
        "reason": reading.sentence or "",
        "warnings": " ".join(reading.warnings),
    }
