"""The transactions of Prefect's server on SQLite take the lock for writing when they begin.

Prefect begins most of them deferred. Where one reads and another commits before the first writes, SQLite refuses the
write at once, whatever the timeout (``SQLITE_BUSY_SNAPSHOT``), and the server answers 503: Prefect's clients wait and
ask again, and its pages do nothing at all, so that a run that a user starts by hand was never made. A transaction that
takes the lock first waits for its turn. https://www.sqlite.org/isolation.html, https://www.sqlite.org/rescode.html
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from prefect.server.database.configurations import SQLITE_BEGIN_MODE, AioSqliteConfiguration
from prefect.server.database.dependencies import MODELS_DEPENDENCIES
from prefect.server.utilities.database import get_dialect
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction


class LockingSqlite(AioSqliteConfiguration):
    """A Prefect database in SQLite whose transactions wait for the lock when they begin."""

    @asynccontextmanager
    async def begin_transaction(
        self,
        session: AsyncSession,
        with_for_update: bool = False,  # noqa: ARG002 - by name, as Prefect calls it
    ) -> AsyncGenerator[AsyncSessionTransaction, None]:
        """Begin a transaction with the lock for writing, whether or not it is for an update.

        A session that only reads and is opened inside the transaction takes no lock.
        """
        async with session.begin() as transaction:
            mode = SQLITE_BEGIN_MODE.set("IMMEDIATE")
            try:
                await session.connection()  # BEGIN is sent with the first connection
            finally:
                SQLITE_BEGIN_MODE.reset(mode)
            yield transaction


def lock_at_begin() -> None:
    """Make the Prefect server of this process lock SQLite when a transaction begins; PostgreSQL needs none of it."""
    url = PREFECT_API_DATABASE_CONNECTION_URL.value()
    if get_dialect(url).name == "sqlite":
        MODELS_DEPENDENCIES["database_config"] = LockingSqlite(connection_url=url)
