"""Read stored volumes on the cluster and write documents, as tasks of a flow."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from lidcflow.config import Access, Config
from lidcflow.errors import SeriesRefused
from lidcflow.release.record import ReleaseRecord
from lidcflow.source.files import SourceFile
from tasks.cluster.open import map_series
from tasks.documents import write_documents_of
from tasks.infer import infer_series, refusal_from
from tasks.progress import stage
from tasks.series_result import SeriesResult


@task(name="read-volumes", task_run_name="read with {release.name} version {release.version}", cache_policy=NO_CACHE)
def infer_volumes(
    uids: Sequence[str], release: ReleaseRecord, config: Config, folder: Path, address: str
) -> tuple[list[SeriesResult], dict[str, SeriesRefused]]:
    """Read stored volumes on the cluster, each with one report; return the readings, and what failed."""
    work = functools.partial(infer_series, release=release, config=config, folder=folder)
    readings: list[SeriesResult] = []
    failed: dict[str, SeriesRefused] = {}
    with stage("read", total=len(uids)) as progress:
        for uid, outcome in map_series(address, work, uids, window=1):
            if isinstance(outcome, SeriesResult):
                readings.append(outcome)
            else:
                failed[uid] = refusal_from(uid, outcome)
            progress.advance()
    return readings, failed


@task(name="documents", cache_policy=NO_CACHE)
def write_all_documents(
    readings: Sequence[SeriesResult], files: Mapping[str, SourceFile], folder: Path, access: Access
) -> list[SeriesResult]:
    """Write the documents of every reading that lacks them; return the readings with where they are, or why not."""
    return write_documents_of(readings, files, folder, access)
