"""State of the inbox: received series, and the results of the last rounds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime

from pydantic import BaseModel

from lidcflow.catalog.database import is_missing_sqlite
from lidcflow.inbox.delivery import UNFINISHED
from lidcflow.inbox.ledger import Ledger
from lidcflow.inbox.rounds import Rounds

SHOWN_ROUNDS = 5


class RoundStatus(BaseModel):
    """The result of one round, or of several consecutive ones; see `lidcflow.inbox.rounds.Round`."""

    began: datetime
    ended: datetime
    times: int
    error: str
    unreachable: tuple[str, ...]
    delivered: int
    refused: int
    failed: int
    waiting: int


class InboxStatus(BaseModel):
    """The state of the inbox.

    Parameters
    ----------
    steps : dict
        How many series stand at each step.
    waiting : int
        Series without an answer.
    last_delivered : datetime, optional
        When the newest answer was delivered.
    rounds : list of RoundStatus
        The newest rounds, newest first.
    owed : dict
        How many answers each target lacks.
    """

    steps: dict[str, int]
    waiting: int
    last_delivered: datetime | None
    rounds: list[RoundStatus]
    owed: dict[str, int] = {}


def inbox_status(catalog: str) -> InboxStatus | None:
    """Return how the inbox stands; None where nothing was ever looked into."""
    if is_missing_sqlite(catalog):
        return None
    with Ledger(catalog) as ledger, Rounds(catalog) as rounds:
        counts, newest = ledger.counts(), rounds.newest(SHOWN_ROUNDS)
        if not (counts or newest):
            return None
        return InboxStatus(
            steps={step.value: count for step, count in counts.items()},
            waiting=sum(counts.get(step, 0) for step in UNFINISHED),
            last_delivered=ledger.last_delivered(),
            rounds=[RoundStatus.model_validate(asdict(one)) for one in newest],
            owed=ledger.owed(),
        )


def round_faults(inbox: InboxStatus | None) -> Iterator[str]:
    """Yield a sentence for what keeps the newest rounds from reading."""
    if inbox is None or not inbox.rounds:
        return
    last = inbox.rounds[0]
    since = f"since {last.began:%Y-%m-%d %H:%M} UTC"
    if last.error:
        yield f"inbox: the last {_rounds(last.times)} failed, {since}, and {inbox.waiting} series wait: {last.error}"
    for sentence in last.unreachable:
        yield f"inbox: a source could not be looked into by the last {_rounds(last.times)}, {since}: {sentence}"


def _rounds(times: int) -> str:
    return "round" if times == 1 else f"{times} rounds"
