"""The position up to which each inbox source has been read, stored in the ledger."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from lidcflow.inbox.ledger import Ledger
from lidcflow.pacs.backlog import what_is_left_out
from lidcflow.pacs.feed import Position


def position_in(ledger: Ledger, source: str) -> Position | None:
    """Return how far a PACS was read, None before the first time; what can't be understood is read from its start."""
    found = ledger.position(source)
    try:
        return None if found is None else Position.model_validate(found)
    except ValidationError:
        return Position()


def left_out(ledger: Ledger, sources: Sequence[str]) -> list[str]:
    """Return a sentence for each PACS that held studies before its first poll, which are not read."""
    positions = {source: position_in(ledger, source) for source in sources}
    sentences = (what_is_left_out(source, position) for source, position in positions.items() if position)
    return [sentence for sentence in sentences if sentence]
