import importlib
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, Integer, MetaData, Table, create_engine, inspect

import lidcflow
from lidcflow.catalog import migrate, upgrade
from lidcflow.catalog.database import Base
from lidcflow.catalog.series import Catalog, State
from lidcflow.errors import StoreError
from tests.databases import execute

OLD = Path(__file__).parent / "catalog_of_0_1_0.sql"
"""A catalog of the lidcflow before migrations, as its SQLite file says it; no inbox was used, so it lacks tables."""

OPEN = "import sys; from lidcflow.catalog.series import Catalog; print(Catalog(sys.argv[1]).counts())"


@pytest.fixture
def old_url(catalog_url):
    """The URL of a catalog that the lidcflow before migrations made."""
    if catalog_url.startswith("sqlite:///"):
        Path(catalog_url.removeprefix("sqlite:///")).parent.mkdir()
    statements = OLD.read_text().replace("DATETIME", "TIMESTAMP WITH TIME ZONE").split(";\n")[1:-2]
    execute(catalog_url, *statements)
    return catalog_url


@pytest.fixture
def next_version(tmp_path, monkeypatch):
    """A lidcflow whose tables are of version 2: series have a column more."""
    scripts = tmp_path / "migrations"
    shutil.copytree(upgrade._SCRIPTS, scripts)
    (scripts / "versions" / "v2_weight.py").write_text(
        "from alembic import op\nfrom sqlalchemy import Column, Integer\n"
        "revision, down_revision = '2', '1'\n"
        "def upgrade():\n    op.add_column('series', Column('weight', Integer))\n"
    )
    monkeypatch.setattr(upgrade, "_SCRIPTS", scripts)
    for module in ("lidcflow.catalog.migrate", "lidcflow.catalog.database"):
        monkeypatch.setattr(f"{module}.SCHEMA_VERSION", 2)
    return scripts / "versions" / "v2_weight.py"


@pytest.fixture
def connect():
    """Connect to a database, for as long as the test lasts."""
    engines = []

    def connected(url):
        engines.append(create_engine(url))
        return engines[-1].connect()

    yield connected
    for engine in engines:
        engine.dispose()


def tables_of(url):
    engine = create_engine(url)
    try:
        return set(inspect(engine).get_table_names())
    finally:
        engine.dispose()


def columns_of(url, table):
    engine = create_engine(url)
    try:
        return {column["name"] for column in inspect(engine).get_columns(table)}
    finally:
        engine.dispose()


def import_all_tables():
    root = Path(lidcflow.__file__).parents[1]
    for file in (root / "lidcflow").rglob("*.py"):
        if "(Base):" in file.read_text():
            importlib.import_module(".".join(file.relative_to(root).with_suffix("").parts))


def test_a_catalog_of_before_migrations_opens_with_all_that_it_held(old_url):
    with Catalog(old_url) as catalog:
        assert catalog.counts() == {State.REFUSED: 2}
        assert set(catalog.owners()) == {
            ("1.2", "1", "a"),
            ("1.3", "1", "a"),
            ("1.3", None, "a"),
            ("1.3", None, "b"),
        }


def test_a_catalog_of_before_migrations_gets_the_tables_that_it_lacks(old_url):
    Catalog(old_url).close()

    assert {"deliveries", "rounds", "tombstones", migrate.VERSION_TABLE} <= tables_of(old_url)


def test_the_scripts_make_the_tables_that_the_code_works_with(catalog_url, connect):
    import_all_tables()
    Catalog(catalog_url).close()

    with connect(catalog_url) as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table": migrate.VERSION_TABLE,
                "include_name": lambda name, kind, _: (kind, name) != ("table", "lidcflow_schema"),
                "compare_type": True,
            },
        )
        differences = compare_metadata(context, Base.metadata)

    assert differences == []


def test_a_catalog_of_an_earlier_version_is_migrated_where_it_is(old_url, next_version):
    with Catalog(old_url) as catalog:
        assert catalog.counts() == {State.REFUSED: 2}

    assert "weight" in columns_of(old_url, "series")


def test_a_catalog_of_the_version_before_is_migrated_by_the_later_script_alone(catalog_url, request):
    Catalog(catalog_url).close()
    script = request.getfixturevalue("next_version")
    (script.parent / "v1_tables.py").write_text("revision, down_revision = '1', None\ndef upgrade():\n    1 / 0\n")

    Catalog(catalog_url).close()

    assert "weight" in columns_of(catalog_url, "series")


def test_a_catalog_that_a_later_lidcflow_migrated_is_refused(old_url, next_version, monkeypatch):
    Catalog(old_url).close()
    monkeypatch.undo()

    with pytest.raises(StoreError, match=r"must be 1, got 2; a later lidcflow made it: install that one, or move"):
        Catalog(old_url)


def test_a_migration_that_breaks_off_changes_nothing(old_url, next_version):
    before = tables_of(old_url)
    next_version.write_text(next_version.read_text() + "    raise ValueError('broken off')\n")

    with pytest.raises(ValueError, match="broken off"):
        Catalog(old_url)

    assert tables_of(old_url) == before
    assert "weight" not in columns_of(old_url, "series")


def test_of_processes_that_open_an_old_catalog_at_once_one_migrates_it(old_url):
    opening = [
        subprocess.Popen([sys.executable, "-c", OPEN, old_url], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]

    assert [process.communicate(timeout=60)[0].strip() for process in opening] == [
        "{<State.REFUSED: 'refused'>: 2}"
    ] * 2
    assert [process.returncode for process in opening] == [0, 0]


def test_threads_may_migrate_different_catalogs_at_once(tmp_path):
    def first_run(number):
        with Catalog(f"sqlite:///{tmp_path}/{number}.db") as catalog:
            return catalog.counts()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(first_run, range(16))) == [{}] * 16


def test_a_catalog_that_is_up_to_date_is_opened_without_alembic(catalog_url):
    Catalog(catalog_url).close()

    said = subprocess.run(
        [sys.executable, "-c", f"{OPEN}; print('alembic' in sys.modules)", catalog_url],
        capture_output=True,
        text=True,
        check=True,
    )

    assert said.stdout.split("\n")[:2] == ["{}", "False"]


def test_another_program_that_has_its_own_migrations_in_the_database_keeps_them(catalog_url, connect):
    if catalog_url.startswith("sqlite:///"):
        Path(catalog_url.removeprefix("sqlite:///")).parent.mkdir()
    execute(
        catalog_url,
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)",
        "INSERT INTO alembic_version VALUES ('of-mlflow')",
    )

    with Catalog(catalog_url) as catalog:
        assert catalog.counts() == {}

    with connect(catalog_url) as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").all() == [("of-mlflow",)]


def test_the_version_of_no_catalog_is_0(connect):
    assert migrate.stored_version(connect("sqlite://")) == 0


def test_the_tables_of_another_version_are_only_looked_at(connect):
    connection = connect("sqlite://")
    Table("lidcflow_schema", metadata := MetaData(), Column("version", Integer))
    metadata.create_all(connection)
    connection.exec_driver_sql("INSERT INTO lidcflow_schema VALUES (7)")

    assert migrate.migrate(connection) == 7
    assert inspect(connection).get_table_names() == ["lidcflow_schema"]
