"""Results of the last inbox rounds; consecutive rounds with equal results share one row of the catalog."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import Select, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from lidcflow.catalog.database import Base, Tables, retry_while_unavailable, utc_now

MOST_ROWS = 200
"""Rows that are kept; a service that is idle for a month adds one."""


class RoundRow(Base):
    """A round, or several consecutive ones with equal results; see `Round`."""

    __tablename__ = "rounds"

    id: Mapped[int] = mapped_column(primary_key=True)
    began: Mapped[datetime]
    ended: Mapped[datetime]
    times: Mapped[int] = mapped_column(default=1)
    error: Mapped[str]
    unreachable: Mapped[list[str]]
    delivered: Mapped[int]
    refused: Mapped[int]
    failed: Mapped[int]
    waiting: Mapped[int]


@dataclass(frozen=True, slots=True)
class Round:
    """The result of one round, or of several consecutive ones.

    Parameters
    ----------
    error : str
        Why the round ended before its time; empty when it went through.
    unreachable : tuple of str
        A sentence for each source that could not be looked into.
    delivered, refused, failed : int
        Series that were answered, refused, and that will be tried again.
    waiting : int
        Series without an answer at the end.
    times : int
        Rounds in a row that came to this.
    began, ended : datetime, optional
        When the first of them began and the last one ended, in UTC.
    """

    error: str = ""
    unreachable: tuple[str, ...] = ()
    delivered: int = 0
    refused: int = 0
    failed: int = 0
    waiting: int = 0
    times: int = 1
    began: datetime | None = None
    ended: datetime | None = None

    @property
    def went_well(self) -> bool:
        """Whether every source was looked into and nothing failed."""
        return not (self.error or self.unreachable or self.failed)


class Rounds(Tables):
    """The newest rounds behind a SQLAlchemy URL.

    Raises
    ------
    StoreError
        If the database can't be opened.

    Examples
    --------
    >>> with Rounds("sqlite://") as rounds:
    ...     rounds.record(Round(waiting=2))
    ...     rounds.record(Round(waiting=2))
    ...     [(one.waiting, one.times) for one in rounds.newest()]
    [(2, 2)]
    """

    @retry_while_unavailable
    def record(self, one: Round) -> None:
        """Add a round; a round that answered nothing and equals the one before it is counted there."""
        now = utc_now()
        began = one.began or now
        with self._database.session() as session:
            last = session.scalars(_newest_first().limit(1)).first()
            if last is not None and _repeats(one, last):
                last.times, last.ended = last.times + 1, now
                return
            session.add(RoundRow(**_facts(one), began=began, ended=now))
            _drop_oldest(session)

    @retry_while_unavailable
    def newest(self, count: int = MOST_ROWS) -> list[Round]:
        """Return the newest rounds, newest first."""
        with self._database.session(reads_only=True) as session:
            return [_round(row) for row in session.scalars(_newest_first().limit(count))]


_TIMES = ("times", "began", "ended")


def _newest_first() -> Select[tuple[RoundRow]]:
    return select(RoundRow).order_by(RoundRow.id.desc())


def _repeats(one: Round, last: RoundRow) -> bool:
    answered = one.delivered or one.refused or one.failed
    return not answered and all(value == getattr(last, name) for name, value in _facts(one).items())


def _facts(one: Round) -> dict[str, object]:
    values = {field.name: getattr(one, field.name) for field in fields(one) if field.name not in _TIMES}
    return {**values, "unreachable": list(one.unreachable)}


def _round(row: RoundRow) -> Round:
    values = {field.name: getattr(row, field.name) for field in fields(Round)}
    return Round(**{**values, "unreachable": tuple(row.unreachable)})


def _drop_oldest(session: Session) -> None:
    session.flush()
    kept = session.scalars(_newest_first().limit(1).offset(MOST_ROWS - 1)).first()
    if kept is not None:
        session.execute(delete(RoundRow).where(RoundRow.id < kept.id))
