"""Make the tables of version 1, whichever of them are lacking.

Catalogs of before migrations are of this version too, and some lack tables: those of the inbox and of erasure came
later and were made when they were first used. Their columns of UIDs may be narrower on PostgreSQL.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    DateTime,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    text,
)

revision, down_revision = "1", None

_UID, _TIME = String(128), DateTime(timezone=True)
_LONGEST_UID = 128
_TABLES = MetaData()

Table(
    "series",
    _TABLES,
    Column("series_instance_uid", _UID, primary_key=True),
    Column("study_instance_uid", _UID, index=True),
    Column("patient_key", String, index=True),
    Column("state", String, nullable=False, index=True),
    Column("reason", String, nullable=False),
    Column("sentence", String, nullable=False),
    Column("n_files", Integer, nullable=False),
    Column("n_slices", Integer),
    Column("set_aside", Integer, nullable=False),
    Column("flags", JSON, nullable=False),
    Column("synthetic", Boolean),
    Column("volume_digest", String),
    Column("config_digest", String),
    Column("updated", _TIME, nullable=False),
)
Table(
    "shared_series",
    _TABLES,
    Column("series_instance_uid", _UID, primary_key=True),
    Column("patient_key", String, primary_key=True),
)
Table(
    "tombstones",
    _TABLES,
    Column("kind", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("erasure", String, nullable=False),
    Column("asked", _TIME, nullable=False),
    Column("done", _TIME),
    Column("series", JSON, nullable=False),
)
Table("erasure_found", _TABLES, Column("erasure", String, primary_key=True), Column("found", JSON, nullable=False))
Table(
    "feedback",
    _TABLES,
    Column("series_instance_uid", _UID, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("study_instance_uid", _UID, index=True),
    Column("time", _TIME, nullable=False),
    Column("reader", String, nullable=False),
    Column("says", String, nullable=False),
    Column("first_slice", Integer, nullable=False),
    Column("last_slice", Integer, nullable=False),
    Column("in_range", Boolean, nullable=False),
    Column("undoes", Integer),
    Column("release", String, nullable=False, index=True),
    Column("version", Integer, nullable=False),
    Column("verdict", String, nullable=False),
    Column("volume_digest", String, nullable=False),
)
Table(
    "deliveries",
    _TABLES,
    Column("id", Integer, primary_key=True),
    Column("series_instance_uid", _UID, nullable=False, index=True),
    Column("study_instance_uid", _UID, nullable=False, index=True),
    Column("instances", String(64), nullable=False),
    Column("n_instances", Integer, nullable=False),
    Column("source", String, nullable=False),
    Column("release", Integer, nullable=False),
    Column("step", String, nullable=False, index=True),
    Column("attempts", Integer, nullable=False),
    Column("next_try", _TIME),
    Column("reason", String, nullable=False),
    Column("sentence", String, nullable=False),
    Column("seen", _TIME, nullable=False),
    Column("updated", _TIME, nullable=False),
    Column("delivered", _TIME),
    UniqueConstraint("series_instance_uid", "instances", "release"),
)
Table(
    "delivery_states",
    _TABLES,
    Column("delivery_id", ForeignKey("deliveries.id", ondelete="CASCADE"), primary_key=True),
    Column("source", String, primary_key=True),
    Column("state", String(64), nullable=False),
)
Table(
    "delivery_answers",
    _TABLES,
    Column("delivery_id", ForeignKey("deliveries.id", ondelete="CASCADE"), primary_key=True),
    Column("content", String(64), nullable=False),
    Column("step", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("sentence", String, nullable=False),
)
Table(
    "receipts",
    _TABLES,
    Column("delivery", Integer, primary_key=True, autoincrement=False),
    Column("target", String(1024), primary_key=True),
    Column("documents", JSON, nullable=False),
    Column("sent", _TIME),
    Column("updated", _TIME, nullable=False),
)
Table(
    "feeds",
    _TABLES,
    Column("source", String, primary_key=True),
    Column("position", JSON, nullable=False),
    Column("polled", _TIME, nullable=False),
)
Table(
    "rounds",
    _TABLES,
    Column("id", Integer, primary_key=True),
    Column("began", _TIME, nullable=False),
    Column("ended", _TIME, nullable=False),
    Column("times", Integer, nullable=False),
    Column("error", String, nullable=False),
    Column("unreachable", JSON, nullable=False),
    Column("delivered", Integer, nullable=False),
    Column("refused", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("waiting", Integer, nullable=False),
)


def upgrade() -> None:
    """Make what is lacking, and widen what is too narrow."""
    connection = op.get_bind()
    _TABLES.create_all(connection)
    _widen_uids(connection)


def _widen_uids(connection: Connection) -> None:
    """Widen the columns of UIDs; SQLite keeps texts of any length."""
    if connection.dialect.name != "postgresql":
        return
    narrow = text(
        "SELECT table_name, column_name FROM information_schema.columns "
        "WHERE table_schema = current_schema() AND column_name LIKE :name AND character_maximum_length < :longest"
    )
    for table, column in connection.execute(narrow, {"name": "%\\_instance\\_uid", "longest": _LONGEST_UID}).all():
        connection.execute(text(f'ALTER TABLE "{table}" ALTER COLUMN "{column}" TYPE VARCHAR({_LONGEST_UID})'))
