"""What a source shows in tests of the ledger."""

from datetime import UTC, datetime

from lidcflow.inbox.delivery import Sighting

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ONE = Sighting("1.1", "1", "a", 10)
GROWN = Sighting("1.1", "1", "b", 12)
OTHER_OF_STUDY = Sighting("1.2", "1", "c", 10)
OTHER_STUDY = Sighting("2.1", "2", "d", 10)


def settled(ledger, *sightings):
    ledger.see("pacs", sightings, release=1, now=NOON)
    ledger.settle("pacs", 0, now=NOON)
    return ledger.waiting("pacs", now=NOON)
