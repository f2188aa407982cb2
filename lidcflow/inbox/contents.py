"""Content of a delivery in the ledger: its state in each source, and its last answer.

A series is known by its instance set. The same instances with other content, as after a repair, are read again, and
get another answer when their volume is another one: a copy of the same images is answered once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import ForeignKey, String, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from lidcflow.catalog.database import Base

_DIGEST = 64
_PER_QUERY = 500

States = Mapping[int, Mapping[str, str]]
"""State by source, for each delivery."""


class StateRow(Base):
    """In which state a source showed a delivery the last time."""

    __tablename__ = "delivery_states"

    delivery_id: Mapped[int] = mapped_column(ForeignKey("deliveries.id", ondelete="CASCADE"), primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(String(_DIGEST))


class AnswerRow(Base):
    """Content of a delivery's answer: its volume, or the reason for none."""

    __tablename__ = "delivery_answers"

    delivery_id: Mapped[int] = mapped_column(ForeignKey("deliveries.id", ondelete="CASCADE"), primary_key=True)
    content: Mapped[str] = mapped_column(String(_DIGEST))
    step: Mapped[str]
    reason: Mapped[str]
    sentence: Mapped[str]


def refusal_content(reason: str, sentence: str) -> str:
    """Return what stands for the content of a series that has no volume.

    Examples
    --------
    >>> len(refusal_content("truncated", "series 1.2: pixels must be whole, got a part"))
    64
    """
    return hashlib.sha256(f"{reason}\n{sentence}".encode()).hexdigest()


def states_of(session: Session, deliveries: Collection[int]) -> dict[int, dict[str, str]]:
    """Read the states of some deliveries, by source."""
    ids = sorted(deliveries)
    found: dict[int, dict[str, str]] = {one: {} for one in ids}
    for start in range(0, len(ids), _PER_QUERY):
        wanted = StateRow.delivery_id.in_(ids[start : start + _PER_QUERY])
        for row in session.scalars(select(StateRow).where(wanted)):
            found[row.delivery_id][row.source] = row.state
    return found


def note_state(session: Session, delivery: int, source: str, state: str) -> None:
    """Keep the state in which a source shows a delivery now; a source without states leaves nothing."""
    if state:
        session.merge(StateRow(delivery_id=delivery, source=source, state=state))


def may_be_other(session: Session, delivery: int, source: str, state: str, known: Mapping[str, str]) -> bool:
    """Return whether the content of a delivery that is known may be other than what was seen before.

    A delivery of an older version of lidcflow has neither a state nor an answer: it is known as it is now shown.
    """
    if not state or known.get(source) == state:
        return False
    return source in known or recorded_answer(session, delivery) is not None


def recorded_answer(session: Session, delivery: int) -> AnswerRow | None:
    """Return what a delivery was answered for; None where it has no answer yet."""
    return session.get(AnswerRow, delivery)


def forget_answers(session: Session, deliveries: Sequence[int]) -> None:
    """Forget what deliveries were answered for, so that they are answered again."""
    for start in range(0, len(deliveries), _PER_QUERY):
        chunk = deliveries[start : start + _PER_QUERY]
        session.execute(delete(AnswerRow).where(AnswerRow.delivery_id.in_(chunk)))


def delete_contents(session: Session, deliveries: Sequence[int]) -> None:
    """Delete all that is known of the content of deliveries."""
    forget_answers(session, deliveries)
    for start in range(0, len(deliveries), _PER_QUERY):
        chunk = deliveries[start : start + _PER_QUERY]
        session.execute(delete(StateRow).where(StateRow.delivery_id.in_(chunk)))
