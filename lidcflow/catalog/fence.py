"""Numbers of the turns that this process holds: writers look whether they still stand before they commit.

A turn that another process has taken over has no row any more, see `lidcflow.catalog.turns`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from sqlalchemy import URL, BigInteger, Boolean, Column, Connection, DateTime, MetaData, String, Table, select

from lidcflow.errors import WorkspaceBusy

TURNS = Table(
    "lidcflow_turns",
    MetaData(),
    Column("number", BigInteger, primary_key=True, autoincrement=True),
    Column("name", String, nullable=False),
    Column("alone", Boolean, nullable=False),
    Column("renewed", DateTime(timezone=True), nullable=False),
)
"""Turns that are held now. Not one of the catalog's tables: nothing in it outlives the work of a process."""

_held: defaultdict[URL, dict[int, str]] = defaultdict(dict)
_changing = Lock()


@contextmanager
def fenced(url: URL, number: int, name: str) -> Iterator[None]:
    """Context manager: make writers of this process look for a turn in each transaction.

    Parameters
    ----------
    url : URL
        Of the database.
    number : int
        Of the turn's row.
    name : str
        Of the turn.
    """
    with _changing:
        _held[url][number] = name
    try:
        yield
    finally:
        with _changing:
            del _held[url][number]


def require_turns(connection: Connection) -> None:
    """Raise if another process took over a turn that this one holds.

    Parameters
    ----------
    connection : Connection
        To the database, in the transaction that is to be committed.

    Raises
    ------
    WorkspaceBusy
        If the row of a turn is gone.
    """
    with _changing:
        mine = dict(_held.get(connection.engine.url, ()))
    if not mine:
        return
    standing = set(connection.scalars(select(TURNS.c.number).where(TURNS.c.number.in_(mine))))
    if gone := sorted({name for number, name in mine.items() if number not in standing}):
        raise WorkspaceBusy(
            f"{' and '.join(gone)}: this process must hold the turn to write, got another process in its place, which "
            "took over after the database had been away from here; what is stored is kept: run again after it"
        )
