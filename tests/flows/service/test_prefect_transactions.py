"""Prefect's server on SQLite: a transaction that reads before it writes is not refused because another one wrote."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from prefect.server.database.configurations import AioSqliteConfiguration
from prefect.server.database.dependencies import MODELS_DEPENDENCIES
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL, temporary_settings
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from flows.service.prefect_transactions import LockingSqlite, lock_at_begin

COUNT, ADD = text("SELECT count(*) FROM run"), text("INSERT INTO run VALUES (1)")


@asynccontextmanager
async def sessions(config):
    """Yield a starter of sessions with a database that has one empty table."""
    engine = await config.engine()

    @asynccontextmanager
    async def session():
        async with await config.session(engine) as opened:
            yield opened

    async with session() as opened, config.begin_transaction(opened):
        await opened.execute(text("CREATE TABLE run (number)"))
    yield session
    await engine.dispose()


async def two_that_read_and_then_write(config):
    """Add a row in each of two transactions, where both have read before one writes; return the rows there are."""
    has_read = asyncio.Event()
    async with sessions(config) as session:

        async def first():
            async with session() as opened, config.begin_transaction(opened):
                await opened.execute(COUNT)
                has_read.set()
                await asyncio.sleep(0.3)  # the other commits meanwhile, if it can
                await opened.execute(ADD)

        async def second():
            await has_read.wait()
            async with session() as opened, config.begin_transaction(opened):
                await opened.execute(COUNT)
                await opened.execute(ADD)

        await asyncio.gather(first(), second())
        async with session() as opened:
            return (await opened.execute(COUNT)).scalar_one()


def test_both_write_one_after_the_other(tmp_path):
    config = LockingSqlite(connection_url=f"sqlite+aiosqlite:///{tmp_path}/prefect.db")

    assert asyncio.run(two_that_read_and_then_write(config)) == 2


def test_prefect_alone_would_refuse_one(tmp_path):
    """Once Prefect itself no longer does, our own transactions can go."""
    config = AioSqliteConfiguration(connection_url=f"sqlite+aiosqlite:///{tmp_path}/prefect.db")

    with pytest.raises(OperationalError, match="locked"):
        asyncio.run(two_that_read_and_then_write(config))


def test_a_session_that_reads_inside_a_transaction_does_not_wait_for_it(tmp_path):
    config = LockingSqlite(connection_url=f"sqlite+aiosqlite:///{tmp_path}/prefect.db")

    async def read_inside():
        async with sessions(config) as session, session() as outer, config.begin_transaction(outer):
            await outer.execute(ADD)
            async with session() as inner:
                return (await inner.execute(COUNT)).scalar_one()

    assert asyncio.run(asyncio.wait_for(read_inside(), 30)) == 0


@pytest.mark.parametrize(
    ("url", "kind"), [("sqlite+aiosqlite:///p.db", LockingSqlite), ("postgresql+asyncpg://p@h/p", type(None))]
)
def test_only_sqlite_locks_at_begin(monkeypatch, url, kind):
    monkeypatch.setitem(MODELS_DEPENDENCIES, "database_config", None)

    with temporary_settings({PREFECT_API_DATABASE_CONNECTION_URL: url}):
        lock_at_begin()

    assert isinstance(MODELS_DEPENDENCIES["database_config"], kind)
