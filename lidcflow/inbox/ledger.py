"""The ledger: one row for each series, instance set and release, in the catalog's database.

Each step does its work first and records it afterwards, and every step is idempotent: a process that is killed
in between repeats one step, and nothing is lost or delivered twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select

from lidcflow.catalog.database import Tables, retry_while_unavailable, utc_now
from lidcflow.dicom.records import PASSED_OVER, VerdictReason
from lidcflow.inbox.contents import (
    delete_contents,
    forget_answers,
    recorded_answer,
    refusal_content,
    states_of,
)
from lidcflow.inbox.delivery import DONE, OPEN, UNDER_WAY, UNFINISHED, Delivery, RetryPolicy, Sighting, Step
from lidcflow.inbox.delivery_rows import (
    SERIES_PER_QUERY,
    DeliveryRow,
    FeedRow,
    delivery_of,
    in_steps,
    keep_answer,
    move,
    row_of,
    rows_of,
)
from lidcflow.inbox.noting import Noted, note
from lidcflow.inbox.receipts import ReceiptRow, Receipts, forget_receipts


class Ledger(Tables):
    """The deliveries behind a SQLAlchemy URL, in the database of the catalog; only the flow's own process writes it.

    Raises
    ------
    StoreError
        If the database can't be opened.

    Examples
    --------
    >>> with Ledger("sqlite://") as ledger:
    ...     ledger.counts()
    {}
    """

    @property
    def receipts(self) -> Receipts:
        """Which target has which documents."""
        return Receipts(self._database)

    @retry_while_unavailable
    def position(self, source: str) -> dict[str, Any] | None:
        """Return how far a source has been read; None before the first time."""
        with self._database.session(reads_only=True) as session:
            row = session.get(FeedRow, source)
            return None if row is None else row.position

    @retry_while_unavailable
    def see(
        self,
        source: str,
        sightings: Iterable[Sighting],
        release: int,
        *,
        position: dict[str, Any] | None = None,
        now: datetime | None = None,
    ) -> int:
        """Take note of what a source shows, and in the same transaction of how far it has been read.

        A series whose instance set is in the ledger is known, whichever release answered it, unless it was gone in
        between. Another instance set of a series, as when a study grows, is a new delivery, and one that has no
        answer yet is superseded. The same instance set in another state is looked at again: see `confirm`.

        Returns
        -------
        int
            New deliveries.
        """
        at, shown = now or utc_now(), list(sightings)
        with self._database.session() as session:
            known = rows_of(session, [one.series_instance_uid for one in shown])
            states = states_of(session, [row.id for rows in known.values() for row in rows])
            noted = Noted(source, release, at, states)
            new = sum(note(session, noted, one, known[one.series_instance_uid]) for one in shown)
            if position is not None:
                session.merge(FeedRow(source=source, position=position, polled=at))
        return new

    @retry_while_unavailable
    def settle(self, source: str, quiet_s: float, *, now: datetime | None = None) -> int:
        """Release studies in which nothing new was seen for `quiet_s`; return the number of their series."""
        at = now or utc_now()
        with self._database.session() as session:
            rows = in_steps(session, [Step.SEEN], DeliveryRow.source == source)
            newest: dict[str, datetime] = {}
            for row in rows:
                newest[row.study_instance_uid] = max(row.seen, newest.get(row.study_instance_uid, row.seen))
            quiet = [row for row in rows if at - newest[row.study_instance_uid] >= timedelta(seconds=quiet_s)]
            for row in quiet:
                move(row, Step.SETTLED, at)
        return len(quiet)

    @retry_while_unavailable
    def seconds_to_settle(self, source: str, quiet_s: float, *, now: datetime | None = None) -> float | None:
        """Return when `settle` may release a study of a source; None where it would wait for none."""
        at = now or utc_now()
        with self._database.session(reads_only=True) as session:
            newest: dict[str, datetime] = {}
            for row in in_steps(session, [Step.SEEN], DeliveryRow.source == source):
                newest[row.study_instance_uid] = max(row.seen, newest.get(row.study_instance_uid, row.seen))
        ends = [seen + timedelta(seconds=quiet_s) for seen in newest.values()]
        return max(0.0, (min(ends) - at).total_seconds()) if ends else None

    @retry_while_unavailable
    def waiting(self, source: str, *, now: datetime | None = None) -> list[Delivery]:
        """Return what is to be worked on now, in the order it was seen: what is under way, and what is tried again."""
        at = now or utc_now()
        with self._database.session(reads_only=True) as session:
            rows = in_steps(session, [*UNDER_WAY, Step.FAILED], DeliveryRow.source == source)
            return [delivery_of(row) for row in rows if row.next_try is None or row.next_try <= at]

    @retry_while_unavailable
    def gone_since_last_look(self, source: str) -> list[tuple[str, str]]:
        """Return study and series of what was deleted since a source was last read.

        A study that is deleted and sent again between two polls looks the same to both.
        """
        with self._database.session(reads_only=True) as session:
            feed = session.get(FeedRow, source)
            since = [] if feed is None else [DeliveryRow.updated >= feed.polled]
            rows = in_steps(
                session, [Step.REFUSED], DeliveryRow.source == source, DeliveryRow.reason == VerdictReason.GONE, *since
            )
            return [(row.study_instance_uid, row.series_instance_uid) for row in rows]

    @retry_while_unavailable
    def advance(
        self, delivery: Delivery, step: Step, *, release: int | None = None, volume_digest: str | None = None
    ) -> None:
        """Record that a step is done.

        Parameters
        ----------
        delivery : Delivery
            What has come further.
        step : Step
            How far.
        release : int, optional
            Version whose answer it is, where that is another one than before.
        volume_digest : str, optional
            Of the volume that was answered for: see `confirm`.
        """
        with self._database.session() as session:
            row = row_of(session, delivery)
            row.release = row.release if release is None else release
            row.reason, row.sentence = "", ""
            move(row, step, utc_now())
            if volume_digest is not None:
                keep_answer(session, row, volume_digest)

    @retry_while_unavailable
    def refuse(self, delivery: Delivery, reason: str, sentence: str) -> None:
        """Record that a series was answered with a refusal, or passed over where nobody waits for an answer."""
        with self._database.session() as session:
            row = row_of(session, delivery)
            move(row, Step.PASSED_OVER if reason in PASSED_OVER else Step.REFUSED, utc_now())
            row.reason, row.sentence = reason, sentence
            if reason == VerdictReason.GONE:
                forget_answers(session, [row.id])
            else:
                keep_answer(session, row, refusal_content(reason, sentence))

    @retry_while_unavailable
    def confirm(self, delivery: Delivery, content: str) -> bool:
        """Keep an answer that was given for the same content; return whether there is one.

        Parameters
        ----------
        delivery : Delivery
            One whose source has shown it in another state.
        content : str
            Digest of its volume now, or `refusal_content`.
        """
        with self._database.session() as session:
            answer = recorded_answer(session, delivery.id)
            if answer is None or answer.content != content:
                return False
            row, delivered = row_of(session, delivery), delivery.delivered
            move(row, Step(answer.step), utc_now())
            row.reason, row.sentence, row.delivered = answer.reason, answer.sentence, delivered
        return True

    @retry_while_unavailable
    def fail(
        self, delivery: Delivery, reason: str, sentence: str, patience: RetryPolicy, *, now: datetime | None = None
    ) -> Step:
        """Record that a step failed: it is tried again after a delay, or the delivery is dead; an answer stays one."""
        at = now or utc_now()
        with self._database.session() as session:
            row = row_of(session, delivery)
            if row.step not in UNFINISHED:
                return Step(row.step)
            attempts = row.attempts + 1
            next_try = patience.next_try(attempts, at)
            step = Step.DEAD if next_try is None else Step.FAILED
            move(row, step, at)
            row.attempts, row.next_try, row.reason, row.sentence = attempts, next_try, reason, sentence
        return step

    @retry_while_unavailable
    def defer(self, delivery: Delivery, reason: str, sentence: str) -> None:
        """Record that an answer waits for an unreachable target; the next round retries, no attempt counts."""
        with self._database.session() as session:
            row = row_of(session, delivery)
            if row.step in UNFINISHED:
                move(row, Step.FAILED, utc_now())
                row.reason, row.sentence = reason, sentence

    @retry_while_unavailable
    def retry(self, series_instance_uids: Sequence[str] | None = None, *, answered: bool = False) -> int:
        """Send deliveries round again from the start: those that failed, or are dead; with `answered` also others.

        Parameters
        ----------
        series_instance_uids : sequence of str, optional
            All by default.
        answered : bool
            Whether those that have their answer are read again too.

        Returns
        -------
        int
            Deliveries that are.
        """
        steps = [Step.FAILED, Step.DEAD, *(DONE if answered else ())]
        with self._database.session() as session:
            rows = in_steps(session, steps)
            asked = None if series_instance_uids is None else set(series_instance_uids)
            wanted = [row for row in rows if asked is None or row.series_instance_uid in asked]
            for row in wanted:
                move(row, Step.SETTLED, utc_now())
                row.attempts, row.reason, row.sentence = 0, "", ""
            ids = [row.id for row in wanted]
            forget_answers(session, ids)
            if answered:
                forget_receipts(session, ids)
        return len(wanted)

    @retry_while_unavailable
    def owners(self) -> list[tuple[str, str | None, int]]:
        """Return SeriesInstanceUID, StudyInstanceUID and number of deliveries of each series that has any."""
        columns = DeliveryRow.series_instance_uid, DeliveryRow.study_instance_uid
        query = select(*columns, func.count()).group_by(*columns)
        with self._database.session(reads_only=True) as session:
            return [(series, study or None, count) for series, study, count in session.execute(query)]

    @retry_while_unavailable
    def delete(self, series_instance_uids: Collection[str], *, only_count: bool = False) -> int:
        """Delete the deliveries of series, or only count them."""
        wanted = DeliveryRow.series_instance_uid.in_(list(series_instance_uids))
        with self._database.session(reads_only=only_count) as session:
            count = session.scalar(select(func.count()).select_from(DeliveryRow).where(wanted)) or 0
            if not only_count:
                ids = list(session.scalars(select(DeliveryRow.id).where(wanted)))
                forget_receipts(session, ids)
                delete_contents(session, ids)
                session.execute(delete(DeliveryRow).where(wanted))
        return count

    @retry_while_unavailable
    def forget_studies(self, study_instance_uids: Collection[str]) -> None:
        """Take studies out of what is known of a PACS that is polled; those that are still there are seen as new."""
        gone = set(study_instance_uids)
        with self._database.session() as session:
            for row in session.scalars(select(FeedRow)):
                seen = row.position.get("seen") or {}
                if gone & seen.keys():
                    left = {uid: count for uid, count in seen.items() if uid not in gone}
                    row.position = row.position | {"seen": left}

    @retry_while_unavailable
    def rows(self, steps: Sequence[Step] | None = None) -> list[Delivery]:
        """Return deliveries, those of all steps by default, in the order they were seen."""
        with self._database.session(reads_only=True) as session:
            return [delivery_of(row) for row in in_steps(session, list(steps or Step))]

    @retry_while_unavailable
    def again(self, ids: Collection[int]) -> list[Delivery]:
        """Return some deliveries as they stand now, in the order they were seen."""
        wanted, found = sorted(ids), []
        with self._database.session(reads_only=True) as session:
            for start in range(0, len(wanted), SERIES_PER_QUERY):
                chunk = wanted[start : start + SERIES_PER_QUERY]
                found += [
                    delivery_of(row) for row in session.scalars(select(DeliveryRow).where(DeliveryRow.id.in_(chunk)))
                ]
        return sorted(found, key=lambda one: (one.seen, one.id))

    @retry_while_unavailable
    def counts(self) -> dict[Step, int]:
        """Count the deliveries in each step that occurs."""
        query = select(DeliveryRow.step, func.count()).group_by(DeliveryRow.step).order_by(DeliveryRow.step)
        with self._database.session(reads_only=True) as session:
            return {Step(step): count for step, count in session.execute(query)}

    @retry_while_unavailable
    def owed(self) -> dict[str, int]:
        """Count for each target the answers that it lacks."""
        query = (
            select(ReceiptRow.target, func.count())
            .join(DeliveryRow, DeliveryRow.id == ReceiptRow.delivery)
            .where(ReceiptRow.sent.is_(None), DeliveryRow.step.in_(OPEN))
            .group_by(ReceiptRow.target)
            .order_by(ReceiptRow.target)
        )
        with self._database.session(reads_only=True) as session:
            return dict(session.execute(query).tuples().all())

    @retry_while_unavailable
    def last_delivered(self) -> datetime | None:
        """Return when the newest answer was delivered, in UTC."""
        with self._database.session(reads_only=True) as session:
            return session.scalars(select(DeliveryRow.delivered).order_by(DeliveryRow.delivered.desc())).first()
