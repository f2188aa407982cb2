"""Which target has which documents: a row for each delivery and target, in the catalog's database."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import String, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from lidcflow.catalog.database import Base, Database, retry_while_unavailable, utc_now

_ROWS_PER_QUERY = 500
_LONGEST_TARGET = 1024


class ReceiptRow(Base):
    """Row of a `Receipt`."""

    __tablename__ = "receipts"

    delivery: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    target: Mapped[str] = mapped_column(String(_LONGEST_TARGET), primary_key=True)
    documents: Mapped[list[str]]
    sent: Mapped[datetime | None]
    updated: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Receipt:
    """The documents that one target holds of one delivery.

    Parameters
    ----------
    target : str
        As the configuration names it.
    documents : tuple of str
        SOPInstanceUIDs that it took, or may have taken where nothing says when.
    sent : datetime, optional
        When it took them, in UTC.
    """

    target: str
    documents: tuple[str, ...]
    sent: datetime | None


class Receipts:
    """The receipts behind a database; a delivery is done when every target has its documents.

    Parameters
    ----------
    database : Database
        Of the ledger.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @retry_while_unavailable
    def add(self, delivery: int, target: str, documents: Sequence[str]) -> None:
        """Record that a target took documents."""
        with self._database.session() as session:
            row = ReceiptRow(delivery=delivery, target=target, documents=list(documents), sent=utc_now())
            row.updated = utc_now()
            session.merge(row)

    @retry_while_unavailable
    def owe(self, delivery: int, target: str, documents: Sequence[str] = ()) -> None:
        """Record that there is an answer which a target lacks, and which documents are about to be sent to it.

        A process that is killed before the receipt leaves this: the target may have them.
        """
        with self._database.session() as session:
            row = session.get(ReceiptRow, (delivery, target)) or ReceiptRow(delivery=delivery, target=target)
            row.documents = list(documents) or row.documents or []
            row.sent, row.updated = None, utc_now()
            session.add(row)

    @retry_while_unavailable
    def of(self, deliveries: Collection[int]) -> dict[int, list[Receipt]]:
        """Return the receipts of some deliveries, those without any left out."""
        wanted, found = sorted(deliveries), dict[int, list[Receipt]]()
        with self._database.session(reads_only=True) as session:
            for start in range(0, len(wanted), _ROWS_PER_QUERY):
                chunk = wanted[start : start + _ROWS_PER_QUERY]
                query = select(ReceiptRow).where(ReceiptRow.delivery.in_(chunk)).order_by(ReceiptRow.target)
                for row in session.scalars(query):
                    found.setdefault(row.delivery, []).append(Receipt(row.target, tuple(row.documents), row.sent))
        return found


def forget_receipts(session: Session, deliveries: Sequence[int]) -> None:
    """Delete the receipts of deliveries: their answers are sent to every target again."""
    for start in range(0, len(deliveries), _ROWS_PER_QUERY):
        chunk = deliveries[start : start + _ROWS_PER_QUERY]
        session.execute(delete(ReceiptRow).where(ReceiptRow.delivery.in_(chunk)))
