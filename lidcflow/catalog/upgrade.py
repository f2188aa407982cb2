"""Run the migration scripts of the catalog: the module that knows Alembic."""

from __future__ import annotations

from importlib.resources import files
from threading import Lock

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

_SCRIPTS = files("lidcflow.catalog") / "migrations"

_ALONE = Lock()
"""Alembic's operations know their connection by a global variable: threads of one process take turns."""


def run_scripts(connection: Connection, version_table: str) -> None:
    """Run the scripts that are still to be run, each followed by Alembic's note that it was.

    Parameters
    ----------
    connection : Connection
        In a transaction that keeps other writers out.
    version_table : str
        Name of the table in which Alembic notes what was run.
    """
    scripts = ScriptDirectory(str(_SCRIPTS))
    context = MigrationContext.configure(connection, opts={"version_table": version_table})
    with _ALONE, Operations.context(context):
        done = context.get_current_revision() or "base"
        for step in reversed(list(scripts.iterate_revisions("head", done))):
            step.module.upgrade()
            context.stamp(scripts, step.revision)
