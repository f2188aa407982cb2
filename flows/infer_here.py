"""Infer one series in this process: no Prefect, no cluster, and MLflow and TensorFlow only where a release needs them.

What a flow starts for a series costs many times the work on it.
"""

from __future__ import annotations

import time
from pathlib import Path

from threadpoolctl import threadpool_limits

from flows.infer_answers import answer_all, report_of
from flows.infer_report import InferReport
from flows.missing_series import Record, bring_missing, check_source_and_store
from flows.mixed import without_mixed_series
from flows.room import check_room
from lidcflow.catalog.locks import at_work
from lidcflow.compute_threads import use_threads
from lidcflow.config import Config
from lidcflow.dicom.records import Series
from lidcflow.errors import SeriesRefused
from lidcflow.release.record import ReleaseRecord
from lidcflow.series.verdicts import Index
from lidcflow.source.places import FolderSource
from lidcflow.store.address import StoreAddress, inbox_store
from tasks.candidates import preprocess_with_candidates
from tasks.cluster.cores import local_workers
from tasks.documents import check_documents, example_files, write_documents_of
from tasks.infer import infer_series, refusal_from
from tasks.infer_series import config_for
from tasks.preprocessed import Preprocessed, sort_out
from tasks.progress import stage
from tasks.series_result import SeriesResult
from tasks.source import check_holds_ct, find_series
from tasks.time_limit import within
from tasks.tracking.in_force import release_in_force
from tasks.tracking.model_files import check_models
from tasks.tracking.place import Tracking
from tasks.worker import preprocess_series

MOST_SERIES = 1
"""More than these go through a flow."""

MOST_THREADS = 2
"""Each works on 60 MiB more, and a third one would save little: most of an answer is one thing after the other."""


def infer_here(source: FolderSource, config: Config, out: Path | None = None) -> InferReport | None:
    """Recommend slices of the one usable series of a folder; return None for a folder with more, which is left alone.

    Parameters
    ----------
    source : FolderSource
        Where the images are.
    config : Config
        Of the workspace.
    out : Path, optional
        Folder of the reports; by default that of the workspace.

    Raises
    ------
    LidcflowError
        As for the flow `flows.infer.infer`, whose answer this is.
    """
    started_s = time.monotonic()
    check_documents(source, config.infer.documents)
    release = release_in_force(config)
    check_models(Tracking.of(config), release)
    reading, reports = config_for(release, config), (out or config.reports_path).absolute()
    check_source_and_store(source, inbox_store(reading))
    with (
        at_work(config.workspace, "infer", catalog=config.catalog),
        threadpool_limits(1),
        use_threads(_threads(config)),
    ):
        index = find_series(source, reading)
        if len(index.usable) > MOST_SERIES:
            return None
        check_holds_ct(source, index)
        index = without_mixed_series(index, reading, reports)
        readings = _answers(index, release, reading, reports)
    return report_of(readings, release, index, seconds=time.monotonic() - started_s)


def _threads(config: Config) -> int:
    """Return how many threads compute: as many as processes would in a flow, at most `MOST_THREADS`."""
    return min(MOST_THREADS, local_workers(config.cluster.workers))


def _answers(index: Index, release: ReleaseRecord, config: Config, reports: Path) -> list[SeriesResult]:
    brought = bring_missing(index, config, inbox_store(config), _preprocess_waiting)
    readings = answer_all(index, brought, release, config, reports, _infer_waiting)
    folder = config.infer.documents
    return readings if folder is None else write_documents_of(readings, example_files(index), folder, config.access)


def _preprocess_waiting(
    waiting: list[Series], _: Preprocessed, config: Config, store: StoreAddress, record: Record
) -> None:
    """Preprocess series one after the other, each within the time that a worker has for it."""
    if not waiting:
        return
    check_room(len(waiting), config.workspace, store)
    store.open(create=True).require_writable()
    with stage("preprocess", len(waiting)) as progress:
        for series in waiting:
            part, stopping = sort_out([(series, _preprocessed(series, store, config.cluster.series_within_s))])
            record(part)
            if stopping:
                raise stopping
            progress.advance()


def _preprocessed(series: Series, store: StoreAddress, within_s: float) -> str | Exception:
    """Return the digest of the volume of a series, or what kept it from one."""
    bring = preprocess_with_candidates if store.candidates else preprocess_series

    def work(one: Series) -> str:
        return bring(one, store_root=store.root, config=store.preprocess, access=store.access)

    try:
        return within(within_s, work, series)
    except Exception as error:  # whatever a decoder raises concerns this series alone
        return error


def _infer_waiting(
    uids: list[str], release: ReleaseRecord, config: Config, folder: Path
) -> tuple[list[SeriesResult], dict[str, SeriesRefused]]:
    """Read stored volumes one after the other."""
    readings: list[SeriesResult] = []
    failed: dict[str, SeriesRefused] = {}
    with stage("read", total=len(uids)) as progress:
        for uid in uids:
            try:
                readings.append(infer_series(uid, release, config, folder, plain=True))
            except Exception as error:
                failed[uid] = refusal_from(uid, error)
            progress.advance()
    return readings, failed
