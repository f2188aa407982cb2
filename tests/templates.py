"""Databases as Prefect and MLflow make them, and folders that are expensive to fill: made once, copied from then on.

Prefect takes 5 s of CPU to migrate a new SQLite file and MLflow 1 s, and the tests start with a hundred of them.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

PLACE = "TEMPLATES_OF_TESTS"
"""Variable with the folder that all processes of a run of the tests share."""

MIGRATE_PREFECT = """
import asyncio
from prefect.server.database import provide_database_interface
asyncio.run(provide_database_interface().create_db())
"""


def once(name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder of this run of the tests, which the first process that asks for it fills.

    Parameters
    ----------
    name : str
        Of the folder.
    make : callable
        Fills the folder, which exists and is empty; another process waits for it to end.
    """
    folder = Path(os.environ[PLACE]) / name
    done = folder.with_name(f"{name}.done")
    with folder.with_name(f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


def copy_prefect_database(file: Path) -> None:
    """Copy a migrated database to where a Prefect server will look for its own."""
    file.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(once(f"prefect-{version('prefect')}", _make_prefect_database) / "prefect.db", file)


def _make_prefect_database(folder: Path) -> None:
    setting = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder / 'prefect.db'}"}
    subprocess.run([sys.executable, "-c", MIGRATE_PREFECT], env={**os.environ, **setting}, check=True)
    with closing(sqlite3.connect(folder / "prefect.db")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@contextmanager
def copied_mlflow_databases() -> Iterator[None]:
    """Make MLflow copy its tables into every new SQLite file, as long as the block runs."""
    from mlflow.store.db import utils

    migrate = utils._initialize_tables

    def copy(engine: Any) -> None:
        if not (file := engine.url.database) or engine.dialect.name != "sqlite":
            migrate(engine)
            return
        made = once(f"mlflow-{version('mlflow')}", lambda folder: _make_mlflow_database(folder, migrate))
        with closing(sqlite3.connect(made / "mlflow.db")) as ours, closing(sqlite3.connect(file)) as theirs:
            ours.backup(theirs)

    utils._initialize_tables = copy
    try:
        yield
    finally:
        utils._initialize_tables = migrate


def _make_mlflow_database(folder: Path, migrate: Callable[[Any], None]) -> None:
    from sqlalchemy import create_engine

    engine = create_engine(f"sqlite:///{folder / 'mlflow.db'}")
    migrate(engine)
    engine.dispose()
