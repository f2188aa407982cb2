"""The ledger: one row for each series, instance set and release, in the catalog's database.

Whatever a step does is done before the ledger says so, and can be done again without harm: a process that is killed
in between repeats one step, and nothing is lost or delivered twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import JSON, ColumnElement, String, UniqueConstraint, delete, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from lidcflow.catalog.database import Base, Tables, retry_while_unavailable, utc_now
from lidcflow.dicom.records import PASSED_OVER, VerdictReason
from lidcflow.dicom.values import LONGEST_UID
from lidcflow.inbox.contents import (
    AnswerRow,
    States,
    delete_contents,
    forget_answers,
    may_be_other,
    note_state,
    recorded_answer,
    refusal_content,
    states_of,
)
from lidcflow.inbox.delivery import ANSWERED, DONE, OPEN, UNDER_WAY, UNFINISHED, Delivery, RetryPolicy, Sighting, Step
from lidcflow.inbox.receipts import ReceiptRow, Receipts, forget_receipts

_DIGEST = 64
_SERIES_PER_QUERY = 500


class DeliveryRow(Base):
    """A row of the ledger, see `Delivery`."""

    __tablename__ = "deliveries"
    __table_args__ = (UniqueConstraint("series_instance_uid", "instances", "release"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    series_instance_uid: Mapped[str] = mapped_column(String(LONGEST_UID), index=True)
    study_instance_uid: Mapped[str] = mapped_column(String(LONGEST_UID), index=True)
    instances: Mapped[str] = mapped_column(String(_DIGEST))
    n_instances: Mapped[int]
    source: Mapped[str]
    release: Mapped[int]
    step: Mapped[str] = mapped_column(index=True)
    attempts: Mapped[int] = mapped_column(default=0)
    next_try: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(default="")
    sentence: Mapped[str] = mapped_column(default="")
    seen: Mapped[datetime]
    updated: Mapped[datetime]
    delivered: Mapped[datetime | None]


class FeedRow(Base):
    """How far a source has been read."""

    __tablename__ = "feeds"

    source: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[dict[str, Any]] = mapped_column(JSON)
    polled: Mapped[datetime]


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
            known = _rows_of(session, [one.series_instance_uid for one in shown])
            states = states_of(session, [row.id for rows in known.values() for row in rows])
            noted = Noted(source, release, at, states)
            new = sum(_note(session, noted, one, known[one.series_instance_uid]) for one in shown)
            if position is not None:
                session.merge(FeedRow(source=source, position=position, polled=at))
        return new

    @retry_while_unavailable
    def settle(self, source: str, quiet_s: float, *, now: datetime | None = None) -> int:
        """Let studies go on in which nothing new was seen for `quiet_s`; return how many series that are."""
        at = now or utc_now()
        with self._database.session() as session:
            rows = _in_steps(session, [Step.SEEN], DeliveryRow.source == source)
            newest: dict[str, datetime] = {}
            for row in rows:
                newest[row.study_instance_uid] = max(row.seen, newest.get(row.study_instance_uid, row.seen))
            quiet = [row for row in rows if at - newest[row.study_instance_uid] >= timedelta(seconds=quiet_s)]
            for row in quiet:
                _move(row, Step.SETTLED, at)
        return len(quiet)

    @retry_while_unavailable
    def waiting(self, source: str, *, now: datetime | None = None) -> list[Delivery]:
        """Return what is to be worked on now, in the order it was seen: what is under way, and what is tried again."""
        at = now or utc_now()
        with self._database.session(reads_only=True) as session:
            rows = _in_steps(session, [*UNDER_WAY, Step.FAILED], DeliveryRow.source == source)
            return [_delivery(row) for row in rows if row.next_try is None or row.next_try <= at]

    @retry_while_unavailable
    def gone_since_last_look(self, source: str) -> list[tuple[str, str]]:
        """Return study and series of what was deleted since a source was last read.

        A study that is deleted and sent again between two polls looks the same to both.
        """
        with self._database.session(reads_only=True) as session:
            feed = session.get(FeedRow, source)
            since = [] if feed is None else [DeliveryRow.updated >= feed.polled]
            rows = _in_steps(
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
            row = _row_of(session, delivery)
            row.release = row.release if release is None else release
            row.reason, row.sentence = "", ""
            _move(row, step, utc_now())
            if volume_digest is not None:
                _keep_answer(session, row, volume_digest)

    @retry_while_unavailable
    def refuse(self, delivery: Delivery, reason: str, sentence: str) -> None:
        """Say that a series was answered with a refusal, or passed over where nobody waits for an answer."""
        with self._database.session() as session:
            row = _row_of(session, delivery)
            _move(row, Step.PASSED_OVER if reason in PASSED_OVER else Step.REFUSED, utc_now())
            row.reason, row.sentence = reason, sentence
            if reason == VerdictReason.GONE:
                forget_answers(session, [row.id])
            else:
                _keep_answer(session, row, refusal_content(reason, sentence))

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
            row, delivered = _row_of(session, delivery), delivery.delivered
            _move(row, Step(answer.step), utc_now())
            row.reason, row.sentence, row.delivered = answer.reason, answer.sentence, delivered
        return True

    @retry_while_unavailable
    def fail(
        self, delivery: Delivery, reason: str, sentence: str, patience: RetryPolicy, *, now: datetime | None = None
    ) -> Step:
        """Say that a step failed: it is tried again after a delay, or the delivery is dead; an answer stays one."""
        at = now or utc_now()
        with self._database.session() as session:
            row = _row_of(session, delivery)
            if row.step not in UNFINISHED:
                return Step(row.step)
            attempts = row.attempts + 1
            next_try = patience.next_try(attempts, at)
            step = Step.DEAD if next_try is None else Step.FAILED
            _move(row, step, at)
            row.attempts, row.next_try, row.reason, row.sentence = attempts, next_try, reason, sentence
        return step

    @retry_while_unavailable
    def defer(self, delivery: Delivery, reason: str, sentence: str) -> None:
        """Record that an answer waits for an unreachable target; the next round retries, no attempt counts."""
        with self._database.session() as session:
            row = _row_of(session, delivery)
            if row.step in UNFINISHED:
                _move(row, Step.FAILED, utc_now())
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
            rows = _in_steps(session, steps)
            asked = None if series_instance_uids is None else set(series_instance_uids)
            wanted = [row for row in rows if asked is None or row.series_instance_uid in asked]
            for row in wanted:
                _move(row, Step.SETTLED, utc_now())
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
            return [_delivery(row) for row in _in_steps(session, list(steps or Step))]

    @retry_while_unavailable
    def again(self, ids: Collection[int]) -> list[Delivery]:
        """Return some deliveries as they stand now, in the order they were seen."""
        wanted, found = sorted(ids), []
        with self._database.session(reads_only=True) as session:
            for start in range(0, len(wanted), _SERIES_PER_QUERY):
                chunk = wanted[start : start + _SERIES_PER_QUERY]
                found += [
                    _delivery(row) for row in session.scalars(select(DeliveryRow).where(DeliveryRow.id.in_(chunk)))
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


def _rows_of(session: Session, uids: Sequence[str]) -> dict[str, list[DeliveryRow]]:
    found: dict[str, list[DeliveryRow]] = {uid: [] for uid in uids}
    for start in range(0, len(uids), _SERIES_PER_QUERY):
        chunk = uids[start : start + _SERIES_PER_QUERY]
        for row in session.scalars(select(DeliveryRow).where(DeliveryRow.series_instance_uid.in_(chunk))):
            found[row.series_instance_uid].append(row)
    return found


class Noted(NamedTuple):
    """What holds for all sightings of one look: source, release, time, and the states that are known."""

    source: str
    release: int
    at: datetime
    states: States


def _note(session: Session, noted: Noted, one: Sighting, known: list[DeliveryRow]) -> bool:
    """Write a sighting down unless it is known; tell whether it was new."""
    same = next((row for row in known if row.instances == one.instances), None)
    for row in known:
        if row is not same and row.step in OPEN:
            _move(row, Step.SUPERSEDED, noted.at)
    if same is not None and _is_known(session, noted, one, same):
        note_state(session, same.id, noted.source, one.state)
        return False
    if same is not None and same.reason == VerdictReason.GONE:
        forget_receipts(session, [same.id])  # whoever deleted the images may have deleted the documents too
    row = same or DeliveryRow(**_facts(one), release=noted.release)
    row.source, row.seen, row.attempts, row.reason, row.sentence = noted.source, noted.at, 0, "", ""
    _move(row, Step.SEEN, noted.at)
    session.add(row)
    session.flush()
    note_state(session, row.id, noted.source, one.state)
    return True


def _is_known(session: Session, noted: Noted, one: Sighting, row: DeliveryRow) -> bool:
    if row.step == Step.SUPERSEDED or row.reason == VerdictReason.GONE:
        return False
    return not may_be_other(session, row.id, noted.source, one.state, noted.states[row.id])


def _facts(one: Sighting) -> dict[str, Any]:
    return {name: getattr(one, name) for name in Sighting.__dataclass_fields__ if name != "state"}


def _keep_answer(session: Session, row: DeliveryRow, content: str) -> None:
    answer = AnswerRow(delivery_id=row.id, content=content, step=row.step, reason=row.reason, sentence=row.sentence)
    session.merge(answer)


def _move(row: DeliveryRow, step: Step, at: datetime) -> None:
    row.step, row.updated, row.next_try = step, at, None
    if step in ANSWERED:
        row.delivered = at


def _in_steps(session: Session, steps: Sequence[Step], *conditions: ColumnElement[bool]) -> list[DeliveryRow]:
    query = select(DeliveryRow).where(DeliveryRow.step.in_(steps), *conditions)
    return list(session.scalars(query.order_by(DeliveryRow.seen, DeliveryRow.id)))


def _row_of(session: Session, delivery: Delivery) -> DeliveryRow:
    return session.get_one(DeliveryRow, delivery.id)


def _delivery(row: DeliveryRow) -> Delivery:
    values = {name: getattr(row, name) for name in Delivery.__dataclass_fields__}
    return Delivery(**{**values, "step": Step(row.step)})
