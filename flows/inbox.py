"""What has come since the last time: look into every source, read what has settled, deliver each answer once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from prefect import flow
from pydantic import BaseModel

from flows.given import Says, Settings, given, source_of, with_readers
from flows.infer import read_all
from flows.preprocess import bring_all
from lidcflow.config import Config
from lidcflow.ct.records import Reason
from lidcflow.ct.series import Index
from lidcflow.erasure.verdicts import erased_uids
from lidcflow.errors import LidcflowError, PacsError, ResourceError
from lidcflow.inbox.contents import refusal_content
from lidcflow.inbox.delivery import ANSWERED, UNFINISHED, Delivery, Patience, Step
from lidcflow.inbox.ledger import Ledger
from lidcflow.inbox.targets import check_target
from lidcflow.learn.release import ReleaseRecord
from lidcflow.pacs.places import is_pacs
from lidcflow.source.files import SourceFile
from lidcflow.store.turns import at_work
from tasks.cluster import cluster_for
from tasks.deliver import deliver
from tasks.documents import check_documents, example_files
from tasks.infer import SeriesReading, config_for
from tasks.look import index_deliveries, look, unchanged
from tasks.preprocess import Preprocessed, place_of_error
from tasks.publish import publish_table
from tasks.tracking.connection import Tracking
from tasks.tracking.registry import load_release

AT_ONCE = 16
"""Series that are preprocessed, read and delivered together: an answer waits for no more than these."""

NOT_WHOLE = (Reason.INCOMPLETE, Reason.UNREADABLE)
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
    """

    release: str
    delivered: int
    refused: int
    failed: int
    waiting: int
    unreachable: list[str]
    seconds: float
    notice: str = "Research use only."


@dataclass(frozen=True)
class Desk:
    """What it takes to answer: the ledger, the release, and the configuration that reads as it was trained."""

    ledger: Ledger
    release: ReleaseRecord
    config: Config

    @property
    def patience(self) -> Patience:
        """How often a series is tried."""
        settings = self.config.delivery
        return Patience(settings.attempts, settings.first_delay_s, settings.longest_delay_s)


@flow(name="inbox")
def inbox(
    sources: Annotated[
        tuple[str, ...] | None, Says("Where new studies come; nothing: the inboxes of the configuration.")
    ] = None,
    config: Settings = None,
) -> InboxReport:
    """Look into every source, and answer each series that has settled: once for its images and the release.

    Parameters
    ----------
    sources : tuple of str, optional
        Where new studies come; by default the inboxes of the configuration.
    config : Config, optional
        Settings over those of the worker.
    """
    started_s, config = time.monotonic(), with_readers(given(config))
    sources = sources or config.inboxes or (source_of(None, None, "inbox"),)
    check_delivery(sources, config)
    release = load_release(Tracking.of(config), config.infer.release)
    turn = at_work(config.workspace, "inbox", alone=True, catalog=config.catalog)
    with turn, Ledger(config.catalog) as ledger:
        desk = Desk(ledger, release, config_for(release, config))
        indexes, unreachable = look_into(sources, desk)
        answered = answer_all(sources, indexes, desk)
        return publish(answered, desk, unreachable, seconds=time.monotonic() - started_s)


def check_delivery(sources: Sequence[str], config: Config) -> None:
    """Tell of a wrong target before anything starts.

    Raises
    ------
    ConfigError
        If one is missing, or lies in a source: answers would be read as new series.
    SourceError
        If a PACS is not in the configuration.
    """
    for target in config.delivery.to:
        check_target(target, config.access)
        for source in [] if is_pacs(target) else sources:
            check_documents(source, Path(target), key="delivery.to")


def look_into(sources: Sequence[str], desk: Desk) -> tuple[dict[str, Index | None], list[str]]:
    """Look into each source; one that is away costs the others nothing, and is looked into the next time."""
    indexes: dict[str, Index | None] = {}
    unreachable: list[str] = []
    for source in sources:
        try:
            indexes[source] = look(source, desk.config, desk.ledger, desk.release.version)
        except LidcflowError as error:
            unreachable.append(str(error))
    return indexes, unreachable


def answer_all(sources: Sequence[str], indexes: Mapping[str, Index | None], desk: Desk) -> list[Delivery]:
    """Answer what waits, on one cluster; return every delivery as it stands afterwards.

    A delivery whose earlier answer stands is not among them.
    """
    waiting = {source: desk.ledger.waiting(source) for source in sources if source in indexes}
    if any(waiting.values()):
        with warm(desk) as ready:
            for source, deliveries in waiting.items():
                for portion in portions(deliveries):
                    answer(portion, source, indexes[source], ready)
    before = {one.id: one.delivered for deliveries in waiting.values() for one in deliveries}
    after = desk.ledger.again(before.keys())
    return [one for one in after if one.step not in ANSWERED or one.delivered != before[one.id]]


@contextmanager
def warm(desk: Desk) -> Iterator[Desk]:
    """Keep one cluster for the whole round: its processes load Keras and the models once."""
    config = desk.config
    with cluster_for(config, "read") as cluster:
        here = config.model_copy(update={"cluster": config.cluster.at(cluster.address)})
        yield Desk(desk.ledger, desk.release, here)


def portions(deliveries: Sequence[Delivery]) -> list[list[Delivery]]:
    """Divide what waits into parts that are worked on together; what failed before goes alone, and harms nobody."""
    fresh = [one for one in deliveries if not one.attempts]
    together = [fresh[start : start + AT_ONCE] for start in range(0, len(fresh), AT_ONCE)]
    return together + [[one] for one in deliveries if one.attempts]


def answer(deliveries: list[Delivery], source: str, index: Index | None, desk: Desk) -> None:
    """Answer a portion; an error that is not one series' own is told of all, and each is tried again by itself.

    Nobody watches: an error that was not foreseen is told in the same way, lest one series stops all others for good.
    """
    try:
        unchanged_ones = unchanged(deliveries, source, desk.config, desk.ledger)
        found = index_deliveries(unchanged_ones, source, desk.config) if index is None else index
        read_and_deliver(unchanged_ones, found, desk)
    except LidcflowError as error:
        put_off(deliveries, error, desk)
    except Exception as error:  # what it says may hold a path or a name
        found = f"{type(error).__name__} in {place_of_error(error)}"
        sentence = f"inbox: series must be answered without an error, got {found}; look at disk and log, or report this"
        put_off(deliveries, LidcflowError(sentence), desk)


def put_off(deliveries: Sequence[Delivery], error: LidcflowError, desk: Desk) -> None:
    """Say of what has no answer yet that it failed, and why."""
    for one in deliveries:
        desk.ledger.fail(one, reason_of(error), str(error), desk.patience)


def read_and_deliver(deliveries: Sequence[Delivery], index: Index, desk: Desk) -> None:
    """Preprocess, read, deliver; the ledger is told after each step."""
    by_uid = {one.series_instance_uid: one for one in deliveries}
    mine = Index(tuple(verdict for verdict in index if verdict.series_instance_uid in by_uid), index.beside)
    for uid in by_uid.keys() - {verdict.series_instance_uid for verdict in mine}:
        sentence = f"series {uid}: must be in its source until it is answered, got no image of it; send it again"
        desk.ledger.refuse(by_uid[uid], Reason.GONE, sentence)
    desk.ledger.delete(erased_uids(mine))  # nothing is kept of what was erased here and came again
    brought = bring_all(mine, desk.config)
    mine, brought = unanswered(mine, brought, by_uid, desk)
    for uid in brought.stored:
        desk.ledger.advance(by_uid[uid], Step.PREPROCESSED)
    readings = read_all(mine, brought, desk.release, desk.config, desk.config.reports_path.absolute())
    files = example_files(mine)
    for reading in readings:
        desk.ledger.advance(by_uid[reading.series_instance_uid], Step.SCORED, release=desk.release.version)
    for reading in readings:
        delivery = by_uid[reading.series_instance_uid]
        if may_pass(reading, delivery, desk):
            put_off([delivery], PacsError(str(reading.sentence)), desk)
        else:
            hand_over(reading, delivery, files.get(reading.series_instance_uid), brought, desk)


def unanswered(
    index: Index, brought: Preprocessed, by_uid: Mapping[str, Delivery], desk: Desk
) -> tuple[Index, Preprocessed]:
    """Leave out what was answered before and has the same volume: files that were copied or touched change nothing."""
    same = {uid for uid, digest in brought.stored.items() if desk.ledger.confirm(by_uid[uid], digest)}
    left = tuple(verdict for verdict in index if verdict.series_instance_uid not in same)
    return Index(left, index.beside), brought.without(same)


def may_pass(reading: SeriesReading, delivery: Delivery, desk: Desk) -> bool:
    """Tell whether a PACS may give a series whole the next time: a refusal would be the last word on it.

    A folder that is mended shows another series; what a PACS shows stays the same. What changed while it was read is
    indexed anew the next time, wherever it lies.
    """
    unwhole = reading.reason in NOT_WHOLE and is_pacs(delivery.source)
    again = reading.verdict == "not-evaluated" and (unwhole or reading.reason == Reason.CHANGED)
    return again and delivery.attempts + 1 < desk.config.delivery.refuse_after


def hand_over(
    reading: SeriesReading, delivery: Delivery, file: SourceFile | None, brought: Preprocessed, desk: Desk
) -> None:
    """Deliver one answer, and say so; one that can't be delivered is tried again, and the others go on.

    Raises
    ------
    PacsError
        If a PACS is away: the others would wait for it in vain too.
    """
    refused = reading.verdict == "not-evaluated"
    reason, sentence = reading.reason or "", reading.sentence or ""
    if refused and desk.ledger.confirm(delivery, refusal_content(reason, sentence)):
        return
    try:
        deliver(reading, file, desk.config)
    except PacsError:
        raise
    except LidcflowError as error:
        put_off([delivery], error, desk)
        return
    if refused:
        desk.ledger.refuse(delivery, reason, sentence)
    else:
        digest = brought.stored[reading.series_instance_uid]
        desk.ledger.advance(delivery, Step.DELIVERED, volume_digest=digest)


def reason_of(error: LidcflowError) -> str:
    """Name the kind of an error in a word or two."""
    if isinstance(error, PacsError):
        return "pacs"
    return "resource" if isinstance(error, ResourceError) else "failed"


def publish(answered: list[Delivery], desk: Desk, unreachable: list[str], *, seconds: float) -> InboxReport:
    """Sum up, and put what was worked on on the run's page."""
    publish_table("inbox", [_row(one) for one in answered], "Answers of this round, research use only")
    counts = desk.ledger.counts()
    of_round = [one.step for one in answered]
    return InboxReport(
        release=f"{desk.release.name} version {desk.release.version}",
        delivered=of_round.count(Step.DELIVERED),
        refused=of_round.count(Step.REFUSED),
        failed=of_round.count(Step.FAILED) + of_round.count(Step.DEAD),
        waiting=sum(counts.get(step, 0) for step in UNFINISHED),
        unreachable=unreachable,
        seconds=round(seconds, 3),
    )


def _row(one: Delivery) -> dict[str, str]:
    return {
        "study": one.study_instance_uid,
        "series": one.series_instance_uid,
        "step": one.step,
        "reason": one.sentence,
    }
