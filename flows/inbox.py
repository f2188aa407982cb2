"""What has come since the last time: look into every source, read what has settled, deliver each answer once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated, cast

from prefect import flow
from prefect.states import Completed, Failed, State
from pydantic import BaseModel

from flows.config import (
    ParameterHelp,
    Settings,
    is_of_a_deployment,
    resolve_config,
    resolve_source,
    with_inference_cluster,
)
from flows.deliver import InboxSession, defer, deliver_answer, refuse_deleted, waiting_for_targets
from flows.infer import infer_all
from flows.missing import preprocess_missing
from flows.mixed import without_mixed_series
from lidcflow.catalog.locks import at_work
from lidcflow.config import Config
from lidcflow.dicom.records import VerdictReason
from lidcflow.erase.refusals import erased_uids
from lidcflow.errors import LidcflowError, PacsError, PacsUnavailable, ReleaseError
from lidcflow.inbox.delivery import ANSWERED, UNFINISHED, Delivery, Step
from lidcflow.inbox.ledger import Ledger
from lidcflow.inbox.reach import PacsAvailability
from lidcflow.inbox.rounds import Round
from lidcflow.inbox.targets import DeliveryTarget, FolderTarget, parse_target
from lidcflow.release.record import ReleaseRecord
from lidcflow.series.find import Index
from lidcflow.source.places import ImageSource, PacsSource, parse_source
from lidcflow.store.address import inbox_store
from tasks.arrivals import recorded
from tasks.cluster.open import cluster_for
from tasks.documents import check_documents, example_files
from tasks.inbox import find_changed_folders, index_deliveries, poll_source, unchanged
from tasks.infer import SeriesResult
from tasks.infer_series import config_for
from tasks.preprocess import Preprocessed
from tasks.publish import publish_table
from tasks.refusal import place_of_error
from tasks.run_page import name_run
from tasks.tracking.connection import Tracking
from tasks.tracking.in_force import configured_release
from tasks.tracking.model_files import check_models

AT_ONCE = 16
"""Series that are preprocessed, read and delivered together: an answer waits for no more than these."""

POLLED_WITHIN_S = 120.0
"""Time that a deployment's run waits for the poller of `lidcflow up` to finish its look."""

SHOWN_FAILURES = 3

NOT_WHOLE = (VerdictReason.INCOMPLETE, VerdictReason.UNREADABLE)
"""Reasons that lie in how a series comes from a PACS, not only in the series."""


class InboxReport(BaseModel):
    """What a round through the inbox came to.

    Parameters
    ----------
    release : str
        Name and version of the release that read.
    delivered, refused, failed : int
        Series answered with a reading, answered with a refusal, and those that will be tried again.
    waiting : int
        Series whose studies have not settled, or that wait for another try.
    unreachable : list of str
        A sentence for each source that could not be looked into.
    away : list of str
        A sentence for each target, or source that was looked into, that does not answer.
    owed : dict
        Answers that each target lacks; they are delivered when it is back.
    failures : list of str
        Why series failed, the first few.
    """

    release: str
    delivered: int
    refused: int
    failed: int
    waiting: int
    unreachable: list[str]
    away: list[str] = []
    owed: dict[str, int] = {}
    failures: list[str] = []
    seconds: float
    notice: str = "Research use only."


class RoundFailed(LidcflowError):
    """Every series of a round failed; they are tried again in the next one.

    Parameters
    ----------
    report : InboxReport
        What the round came to.
    """

    def __init__(self, report: InboxReport) -> None:
        super().__init__(
            f"inbox: a round must answer what waits, got {report.failed} failed series and no answer; `lidcflow inbox` "
            f"lists them, and the next round tries them again; {'; also '.join(report.failures)}"
        )
        self.report = report


@flow(name="inbox")
def inbox(
    sources: Annotated[
        tuple[str, ...] | None, ParameterHelp("Where new studies come; nothing: the inboxes of the configuration.")
    ] = None,
    config: Settings = None,
    complete: Annotated[
        bool, ParameterHelp("Read what is there at once: whoever starts the run knows that no image is missing.")
    ] = False,
) -> InboxReport:
    """Poll every source, and process each complete series once per state of its images and release.

    Parameters
    ----------
    sources : tuple of str, optional
        Where new studies come; by default the inboxes of the configuration.
    config : Config, optional
        Settings over those of the worker.
    complete : bool
        Read what is there at once, without the time in which a study must be quiet.

    Raises
    ------
    RoundFailed
        If every series of the round failed; it holds the report.
    """
    config = with_inference_cluster(resolve_config(config))
    config = without_waiting(config) if complete else config
    sources = sources or config.inboxes or (resolve_source(None, None, "inbox"),)
    name_run("inbox: read what is complete", config)
    with recorded(config.catalog) as record:
        report = go_round([parse_source(source, config.access) for source in sources], config)
        record(round_of(report))
    name_run(f"inbox: {_counts(report)}, with {report.release}", config)
    return cast(InboxReport, state_of(report))  # callers of a flow get the data of the state that it returns


def without_waiting(config: Config) -> Config:
    """Return the configuration of a round that takes every study for complete."""
    return config.model_copy(update={"delivery": config.delivery.model_copy(update={"settle_s": 0.0})})


def inbox_report(config: Config) -> InboxReport:
    """Go through the configured inboxes; a round that failed throughout has a report all the same."""
    try:
        return inbox(config.inboxes, config)
    except RoundFailed as failed:
        return failed.report


def state_of(report: InboxReport) -> State[InboxReport]:
    """Return the state that Prefect shows of a round: failed where every series failed, and a sentence."""
    if report.failed and not (report.delivered or report.refused):
        failed = RoundFailed(report)
        return Failed(message=str(failed), data=failed)
    return Completed(message=f"{_counts(report)}, with {report.release}", data=report)


def _counts(report: InboxReport) -> str:
    counts = {"delivered": report.delivered, "refused": report.refused, "failed": report.failed}
    done = [f"{count} {name}" for name, count in counts.items() if count] or ["nothing new"]
    return ", ".join([*done, f"{report.waiting} waiting"])


def go_round(sources: Sequence[ImageSource], config: Config) -> InboxReport:
    """Poll every source, and process the complete series with the active release."""
    started_s = time.monotonic()
    targets = tuple(parse_target(target, config.access) for target in config.delivery.to)
    check_delivery(sources, targets)
    release = release_for(sources, config)
    patience_s = POLLED_WITHIN_S if is_of_a_deployment() else None
    turn = at_work(config.workspace, "inbox", alone=True, catalog=config.catalog, patience_s=patience_s)
    with turn, Ledger(config.catalog) as ledger:
        by_text = {source.text: source for source in sources}
        session = InboxSession(ledger, release, config_for(release, config), PacsAvailability(), by_text, targets)
        indexes, unreachable = poll_all(sources, session)
        answered = process_waiting(sources, indexes, session)
        return publish_round(answered, session, unreachable, seconds=time.monotonic() - started_s)


def release_for(sources: Sequence[ImageSource], config: Config) -> ReleaseRecord:
    """Return the release in force.

    Raises
    ------
    ReleaseError
        If there is none; a source that is missing too is named first.
    """
    try:
        return configured_release(config)
    except ReleaseError as error:
        faults = [*missing_sources(sources), str(error)]
        raise ReleaseError("; also ".join(faults)) from None


def missing_sources(sources: Sequence[ImageSource]) -> Iterator[str]:
    """Yield a sentence for each source that can't be looked into."""
    for source in sources:
        try:
            source.check()
        except LidcflowError as error:
            yield f"inbox: {error}"


def check_delivery(sources: Sequence[ImageSource], targets: Sequence[DeliveryTarget]) -> None:
    """Raise for a target that can't be right; a folder that is gone for now puts off what is to be delivered there.

    Raises
    ------
    ConfigError
        If one lies in a source: answers would be read as new series.
    SourceError
        If a PACS is not in the configuration.
    """
    for target in targets:
        if isinstance(target, FolderTarget):
            for source in sources:
                check_documents(source, target.folder, key="delivery.to")
        else:
            target.check()


def poll_all(sources: Sequence[ImageSource], session: InboxSession) -> tuple[dict[str, Index | None], list[str]]:
    """Poll each source; an unavailable one does not affect the others and is polled again in the next round."""
    indexes: dict[str, Index | None] = {}
    unreachable: list[str] = []
    for source in sources:
        if why := session.reach.why_away(source):
            unreachable.append(why)
            continue
        try:
            indexes[source.text] = poll_source(source, session.config, session.ledger, session.release.version)
        except LidcflowError as error:
            unreachable.append(str(error))
            if isinstance(error, PacsUnavailable):
                session.reach.lose(source, error)
    return indexes, unreachable


def process_waiting(
    sources: Sequence[ImageSource], indexes: Mapping[str, Index | None], session: InboxSession
) -> list[Delivery]:
    """Answer what waits, on one cluster; return every delivery as it stands afterwards.

    A delivery whose earlier answer stands is not among them.
    """
    waiting = [one for source in sources if source.text in indexes for one in session.ledger.waiting(source.text)]
    stuck = waiting_for_targets(waiting, session)
    due = [one for one in waiting if one.id not in stuck]
    if due:
        # Found here, a changed model costs no series an attempt: what waits is answered once the model is back.
        check_models(Tracking.of(session.config), session.release)
        with on_one_cluster(session) as ready:
            for batch in split_batches(due):
                source = ready.sources[batch[0].source]
                if not ready.reach.is_known_away(source):
                    process_batch(batch, source, indexes[source.text], ready)
    before = {one.id: one.delivered for one in waiting}
    after = session.ledger.again(before.keys())
    return [one for one in after if one.step not in ANSWERED or one.delivered != before[one.id]]


@contextmanager
def on_one_cluster(session: InboxSession) -> Iterator[InboxSession]:
    """Keep one cluster for the whole round: its processes load Keras and the models once."""
    config = session.config
    with cluster_for(config, "read", inbox_store(config)) as cluster:
        here = config.model_copy(update={"cluster": config.cluster.at(cluster.address)})
        yield replace(session, config=here)


def split_batches(deliveries: Sequence[Delivery]) -> list[list[Delivery]]:
    """Divide what waits into parts of one source that are worked on together.

    What failed before goes alone, after everything else, the most often failed last: it holds back nobody.
    """
    fresh = [one for one in deliveries if not one.attempts]
    by_source = [[one for one in fresh if one.source == source] for source in dict.fromkeys(d.source for d in fresh)]
    together = [own[start : start + AT_ONCE] for own in by_source for start in range(0, len(own), AT_ONCE)]
    again = sorted((one for one in deliveries if one.attempts), key=lambda one: one.attempts)
    return together + [[one] for one in again]


def process_batch(deliveries: list[Delivery], source: ImageSource, index: Index | None, session: InboxSession) -> None:
    """Answer a batch; an error that is not one series' own is told of all, and each is tried again by itself.

    Nobody watches: an error that was not foreseen is told in the same way, lest one series stops all others for good.
    """
    try:
        unchanged_ones = unchanged(deliveries, source, session.ledger)
        if isinstance(source, PacsSource):
            index = index_deliveries(unchanged_ones, source, session.config)
        infer_and_deliver(unchanged_ones, index or Index(()), session)
    except LidcflowError as error:
        if isinstance(error, PacsUnavailable):
            session.reach.lose(source, error)
        defer(deliveries, error, session)
    except Exception as error:  # what it says may hold a path or a name
        what = f"{type(error).__name__} in {place_of_error(error)}"
        sentence = f"inbox: series must be answered without an error, got {what}; look at disk and log, or report this"
        defer(deliveries, LidcflowError(sentence), session)


def infer_and_deliver(deliveries: Sequence[Delivery], index: Index, session: InboxSession) -> None:
    """Preprocess, infer, deliver; each step is recorded in the ledger when it is done."""
    by_uid = {one.series_instance_uid: one for one in deliveries}
    mine = Index(tuple(verdict for verdict in index if verdict.series_instance_uid in by_uid), index.beside)
    for uid in by_uid.keys() - {verdict.series_instance_uid for verdict in mine}:
        sentence = f"series {uid}: must be in its source until it is answered, got no image of it; send it again"
        refuse_deleted(by_uid[uid], sentence, session)
    session.ledger.delete(erased_uids(mine))  # nothing is kept of what was erased here and came again
    reports = session.config.reports_path.absolute()
    mine = without_mixed_series(mine, session.config, reports)
    for verdict in mine:
        if verdict.passed_over or verdict.reason is VerdictReason.SYNTHETIC_AND_REAL:
            session.ledger.refuse(by_uid[verdict.series_instance_uid], verdict.reason, verdict.sentence)
    brought = preprocess_missing(mine, session.config, inbox_store(session.config))
    mine, brought = without_answered(mine, brought, by_uid, session)
    for uid in brought.stored:
        session.ledger.advance(by_uid[uid], Step.PREPROCESSED)
    readings = infer_all(mine, brought, session.release, session.config, reports)
    files = example_files(mine)
    for reading in readings:
        session.ledger.advance(by_uid[reading.series_instance_uid], Step.SCORED, release=session.release.version)
    grown = find_changed_folders(deliveries, mine, session.begun_s, session.config, session.ledger)
    for reading in readings:
        delivery = by_uid[reading.series_instance_uid]
        if delivery.id in grown or session.reach.is_known_away(session.sources[delivery.source]):
            continue
        if should_retry(reading, delivery, session):
            defer([delivery], PacsError(str(reading.sentence)), session)
        else:
            digest = brought.stored.get(reading.series_instance_uid)
            deliver_answer(reading, delivery, files.get(reading.series_instance_uid), session, volume_digest=digest)


def without_answered(
    index: Index, brought: Preprocessed, by_uid: Mapping[str, Delivery], session: InboxSession
) -> tuple[Index, Preprocessed]:
    """Leave out what was answered before and has the same volume: files that were copied or touched change nothing."""
    same = {uid for uid, digest in brought.stored.items() if session.ledger.confirm(by_uid[uid], digest)}
    left = tuple(verdict for verdict in index if verdict.series_instance_uid not in same)
    return Index(left, index.beside), brought.without(same)


def should_retry(reading: SeriesResult, delivery: Delivery, session: InboxSession) -> bool:
    """Return whether to retry a series: a PACS may still be receiving it, and refusing now would be final.

    A folder that is mended shows another series; what a PACS shows stays the same. What changed while it was read is
    indexed anew the next time, wherever it lies.
    """
    unwhole = reading.reason in NOT_WHOLE and isinstance(session.sources[delivery.source], PacsSource)
    again = reading.verdict == "not-evaluated" and (unwhole or reading.reason == VerdictReason.CHANGED)
    return again and delivery.attempts + 1 < session.config.delivery.refuse_after


def publish_round(
    answered: list[Delivery], session: InboxSession, unreachable: list[str], *, seconds: float
) -> InboxReport:
    """Sum up, and put what was worked on on the run's page."""
    publish_table("inbox", [_row(one) for one in answered], "Answers of this round, research use only")
    counts = session.ledger.counts()
    of_round = [one.step for one in answered]
    return InboxReport(
        release=f"{session.release.name} version {session.release.version}",
        delivered=of_round.count(Step.DELIVERED),
        refused=of_round.count(Step.REFUSED),
        failed=of_round.count(Step.FAILED) + of_round.count(Step.DEAD),
        waiting=sum(counts.get(step, 0) for step in UNFINISHED),
        unreachable=unreachable,
        away=[sentence for sentence in session.reach.sentences if sentence not in unreachable],
        owed=session.ledger.owed(),
        failures=[one.sentence for one in answered if one.step in (Step.FAILED, Step.DEAD)][:SHOWN_FAILURES],
        seconds=round(seconds, 3),
    )


def round_of(report: InboxReport) -> Round:
    """Return what `lidcflow status` keeps of a round."""
    return Round(
        unreachable=tuple(report.unreachable),
        delivered=report.delivered,
        refused=report.refused,
        failed=report.failed,
        waiting=report.waiting,
    )


def _row(one: Delivery) -> dict[str, str]:
    return {
        "study": one.study_instance_uid,
        "series": one.series_instance_uid,
        "step": one.step,
        "reason": one.sentence,
    }
