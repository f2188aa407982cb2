"""Run a release on every series of a source: recommended slices, or the reason why a series has none."""

from __future__ import annotations

import time
from pathlib import Path

from flows.config import resolve_config
from flows.flow import flow
from flows.infer_answers import answer_all, report_of
from flows.infer_report import InferReport
from flows.missing import preprocess_missing
from flows.missing_series import check_source_and_store
from flows.mixed import without_mixed_series
from lidcflow.catalog.locks import at_work
from lidcflow.config import Config
from lidcflow.errors import SeriesRefused
from lidcflow.release.record import ReleaseRecord
from lidcflow.report.wording import size
from lidcflow.series.verdicts import Index
from lidcflow.source.places import checked_source
from lidcflow.store.address import inbox_store
from tasks.cluster.open import cluster_for
from tasks.documents import check_documents, example_files
from tasks.index import index_source
from tasks.infer_series import config_for
from tasks.infer_volumes import infer_volumes, write_all_documents
from tasks.preprocessed import Preprocessed
from tasks.progress import listening
from tasks.publish import ProgressArtifact, publish_table
from tasks.run_page import name_run
from tasks.series_result import SeriesResult
from tasks.tracking.in_force import release_in_force
from tasks.tracking.model_files import check_models
from tasks.tracking.place import Tracking


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
    """Answer for each series, on a cluster; see `flows.infer_answers.answer_all`."""
    return answer_all(index, brought, release, config, folder, infer_waiting)


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


def publish_results(
    readings: list[SeriesResult], release: ReleaseRecord, index: Index, *, seconds: float
) -> InferReport:
    """Sum up, and put the readings on the run's page."""
    publish_table("readings", [_row(reading) for reading in readings], "Recommended slices, research use only")
    return report_of(readings, release, index, seconds=seconds)


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
