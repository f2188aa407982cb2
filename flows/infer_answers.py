"""Answer for every series of an index: which get a result, and their sum. Prefect is not imported here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from flows.infer_report import InferReport
from lidcflow.config import Config
from lidcflow.dicom.records import VerdictReason
from lidcflow.dicom.values import is_uid
from lidcflow.erase.refusals import erased_uids
from lidcflow.errors import SeriesRefused
from lidcflow.release.embedded import NAME
from lidcflow.release.facts import ReleaseFacts
from lidcflow.release.record import ReleaseRecord
from lidcflow.report.rank import not_evaluated
from lidcflow.report.recommendation import Recommendation
from lidcflow.series.mixed import mixed_series
from lidcflow.series.verdicts import Index
from tasks.infer import known_results, report_refused
from tasks.preprocessed import Preprocessed
from tasks.series_result import SeriesResult

UNANSWERED = (VerdictReason.ERASED, VerdictReason.SYNTHETIC_AND_REAL)
"""Reasons without a report."""

InferWaiting = Callable[[list[str], ReleaseRecord, Config, Path], tuple[list[SeriesResult], dict[str, SeriesRefused]]]
"""Reads stored volumes and writes a report on each; returns the results, and what failed."""


def answer_all(
    index: Index,
    brought: Preprocessed,
    release: ReleaseRecord,
    config: Config,
    folder: Path,
    infer_waiting: InferWaiting,
) -> list[SeriesResult]:
    """Answer for each series: a reading that is there, a new one, or why there is none."""
    known = known_results(brought.stored, release, config, folder)
    waiting = sorted(set(brought.stored) - {reading.series_instance_uid for reading in known})
    fresh, failed = infer_waiting(waiting, release, config, folder)
    refused = refusals(index, {**brought.refused, **failed}, release.facts())
    answered = [report_refused(said, folder) for said in refused]
    return sorted([*known, *fresh, *answered], key=lambda one: (one.study_instance_uid or "", one.series_instance_uid))


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


def report_of(readings: list[SeriesResult], release: ReleaseRecord, index: Index, *, seconds: float) -> InferReport:
    """Sum up the results for a source."""
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
