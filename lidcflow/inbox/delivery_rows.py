"""The tables of the ledger, and how their rows are found and moved on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ColumnElement, String, UniqueConstraint, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from lidcflow.catalog.database import Base
from lidcflow.dicom.values import LONGEST_UID
from lidcflow.inbox.contents import AnswerRow
from lidcflow.inbox.delivery import ANSWERED, Delivery, Step

_DIGEST = 64
SERIES_PER_QUERY = 500


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
    """Position up to which a source has been read."""

    __tablename__ = "feeds"

    source: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[dict[str, Any]] = mapped_column(JSON)
    polled: Mapped[datetime]


def rows_of(session: Session, uids: Sequence[str]) -> dict[str, list[DeliveryRow]]:
    """Return the deliveries of each series, an empty list for one that has none."""
    found: dict[str, list[DeliveryRow]] = {uid: [] for uid in uids}
    for start in range(0, len(uids), SERIES_PER_QUERY):
        chunk = uids[start : start + SERIES_PER_QUERY]
        for row in session.scalars(select(DeliveryRow).where(DeliveryRow.series_instance_uid.in_(chunk))):
            found[row.series_instance_uid].append(row)
    return found


def keep_answer(session: Session, row: DeliveryRow, content: str) -> None:
    """Keep what a delivery was answered with, and for which content."""
    answer = AnswerRow(delivery_id=row.id, content=content, step=row.step, reason=row.reason, sentence=row.sentence)
    session.merge(answer)


def move(row: DeliveryRow, step: Step, at: datetime) -> None:
    """Move a delivery to a step; an answer sets when it was delivered."""
    row.step, row.updated, row.next_try = step, at, None
    if step in ANSWERED:
        row.delivered = at


def in_steps(session: Session, steps: Sequence[Step], *conditions: ColumnElement[bool]) -> list[DeliveryRow]:
    """Return the deliveries in some steps, in the order they were seen."""
    query = select(DeliveryRow).where(DeliveryRow.step.in_(steps), *conditions)
    return list(session.scalars(query.order_by(DeliveryRow.seen, DeliveryRow.id)))


def row_of(session: Session, delivery: Delivery) -> DeliveryRow:
    """Return the row of a delivery."""
    return session.get_one(DeliveryRow, delivery.id)


def delivery_of(row: DeliveryRow) -> Delivery:
    """Return a row as a value."""
    values = {name: getattr(row, name) for name in Delivery.__dataclass_fields__}
    return Delivery(**{**values, "step": Step(row.step)})
