"""A database server that goes away under a transaction: which errors tell of it, and doing the transaction again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError

from lidcflow.errors import DatabaseAway

PATIENCE_S = 60.0
"""A restart takes seconds, a move to another machine up to a minute."""
AGAIN_AFTER_S = 0.5
_SHUTTING_DOWN, _NO_CONNECTION = "57P", "08"
"""Classes of SQLSTATE: shutdown, crash and start-up; connection exceptions."""

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def is_away(error: SQLAlchemyError, dialect: str) -> bool:
    """Tell whether a server ended a transaction, or did not begin it, because it stops, starts or can't be reached.

    SQLite has no server: the same errors tell of a disk or a lock there.
    """
    if dialect == "sqlite" or not isinstance(error, DBAPIError):
        return False
    gone = error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)
    return gone or _sqlstate(error.orig).startswith((_SHUTTING_DOWN, _NO_CONNECTION))


def persevering(transaction: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Let a method that is one transaction be done again when the server went away under it.

    Such a method does no harm when it is done twice: whether a commit that was cut off took place, nobody knows.
    Iterators among its arguments are kept as lists, for they can be gone through once only.
    """

    @wraps(transaction)
    def until_it_answers(*args: Arguments.args, **options: Arguments.kwargs) -> Result:
        kept: Any = [list(value) if isinstance(value, Iterator) else value for value in args]
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                return transaction(*kept, **options)
            except DatabaseAway:
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(AGAIN_AFTER_S)

    return until_it_answers


def _sqlstate(cause: BaseException | None) -> str:
    """Return the code of an error of PostgreSQL; its drivers keep it in different places."""
    fields = cause.args[0] if cause and cause.args and isinstance(cause.args[0], dict) else {}
    return str(fields.get("C") or getattr(cause, "sqlstate", None) or "")
