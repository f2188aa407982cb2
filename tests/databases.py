"""Databases of the catalog for tests: SQLite, or a real server that the environment names."""

import os
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

SERVER = "CATALOG_OF_TESTS"
"""SQLAlchemy URL of a PostgreSQL database that tests may empty; without it they use SQLite."""

UNMIGRATED = "DROP TABLE lidcflow_migrations"
"""Makes a catalog one of the versions before migrations, which left no note of them."""


@pytest.fixture
def catalog_url(tmp_path: Path) -> str:
    """Return the URL of a catalog that is not there yet."""
    if not (url := os.environ.get(SERVER)):
        return f"sqlite:///{tmp_path}/new/catalog.db"
    execute(url, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    return url


def execute(url: str, *statements: str) -> None:
    """Do to a database what lidcflow does not."""
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()
