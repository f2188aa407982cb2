"""Take note in the ledger of what a source shows: new series, and known ones in another state."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from lidcflow.dicom.records import VerdictReason
from lidcflow.inbox.contents import States, may_be_other, note_state
from lidcflow.inbox.delivery import OPEN, Sighting, Step
from lidcflow.inbox.delivery_rows import DeliveryRow, move
from lidcflow.inbox.receipts import forget_receipts


class Noted(NamedTuple):
    """Facts shared by all sightings of one poll: source, release, time, and the known states."""

    source: str
    release: int
    at: datetime
    states: States


def note(session: Session, noted: Noted, one: Sighting, known: list[DeliveryRow]) -> bool:
    """Write a sighting down unless it is known; return whether it was new."""
    same = next((row for row in known if row.instances == one.instances), None)
    for row in known:
        if row is not same and row.step in OPEN:
            move(row, Step.SUPERSEDED, noted.at)
    if same is not None and _is_known(session, noted, one, same):
        note_state(session, same.id, noted.source, one.state)
        return False
    if same is not None and same.reason == VerdictReason.GONE:
        forget_receipts(session, [same.id])  # whoever deleted the images may have deleted the documents too
    row = same or DeliveryRow(**_facts(one), release=noted.release)
    row.source, row.seen, row.attempts, row.reason, row.sentence = noted.source, noted.at, 0, "", ""
    move(row, Step.SEEN, noted.at)
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
