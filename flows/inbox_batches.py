"""Answer a batch of series of the inbox: preprocess, infer, deliver, each step recorded in the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flows.deliver import InboxSession, defer, deliver_answer, refuse_deleted
from flows.infer import infer_all
from flows.missing import preprocess_missing
from flows.mixed import without_mixed_series
from lidcflow.dicom.records import VerdictReason
from lidcflow.erase.refusals import erased_uids
from lidcflow.errors import LidcflowError, PacsError, PacsUnavailable
from lidcflow.inbox.delivery import Delivery, Step
from lidcflow.series.verdicts import Index
from lidcflow.source.places import ImageSource, PacsSource
from lidcflow.store.address import inbox_store
from tasks.documents import example_files
from tasks.inbox import find_changed_folders, index_deliveries, unchanged
from tasks.preprocessed import Preprocessed
from tasks.refusal import place_of_error
from tasks.series_result import SeriesResult

AT_ONCE = 16
"""Series that are preprocessed, read and delivered together: an answer waits for no more than these."""

NOT_WHOLE = (VerdictReason.INCOMPLETE, VerdictReason.UNREADABLE)
"""Reasons that lie in how a series comes from a PACS, not only in the series."""


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
    """Answer a batch; after an error that concerns no single series, each is tried again by itself.

    Rounds run unattended: an unexpected error is reported in the same way, so that one series cannot block all others.
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
