"""Roles, dumps and restores with a real PostgreSQL."""

import re
import subprocess

import pytest

from lidcflow.erase.subject import Subject
from lidcflow.erase.tombstones import Tombstones
from tests.infra.compose import INFRA
from tests.infra.databases import databases, is_installed

pytestmark = pytest.mark.skipif(not is_installed(), reason="PostgreSQL is not installed")

OWNERS = {"prefect": "prefect", "mlflow": "mlflow", "mlflow_auth": "mlflow", "lidcflow": "lidcflow"}


@pytest.fixture(scope="module")
def server(secrets):
    with databases(secrets) as running:
        yield running


def refusal(server, text, **where):
    with pytest.raises(subprocess.CalledProcessError) as raised:
        server.sql(text, **where)
    return raised.value.stderr.decode()


@pytest.mark.parametrize(("database", "role"), OWNERS.items())
def test_a_role_works_in_its_own_databases(server, database, role):
    server.sql("CREATE TABLE its_own (a int); DROP TABLE its_own", database=database, role=role)
    server.sql("CREATE EXTENSION IF NOT EXISTS pg_trgm", database=database, role=role)  # Prefect makes it itself


@pytest.mark.parametrize("role", ["prefect", "mlflow", "lidcflow"])
def test_a_role_reaches_no_database_of_others(server, role):
    for database in {"postgres", "template1", *OWNERS} - {name for name, owner in OWNERS.items() if owner == role}:
        assert "permission denied for database" in refusal(server, "SELECT 1", database=database, role=role)


@pytest.mark.parametrize("role", ["prefect", "mlflow", "lidcflow"])
@pytest.mark.parametrize(
    "text",
    ["CREATE ROLE more", "CREATE DATABASE more", "ALTER ROLE postgres PASSWORD 'x'", "COPY (SELECT 1) TO PROGRAM 'id'"],
)
def test_a_role_is_master_of_nothing_else(server, role, text):
    assert re.search("permission denied|must be superuser", refusal(server, text, database=role, role=role))


def test_passwords_are_kept_as_scram_and_are_asked_for(server):
    kept = server.sql("SELECT DISTINCT left(rolpassword, 13) FROM pg_authid WHERE rolcanlogin", database="postgres")

    assert kept == "SCRAM-SHA-256"
    with pytest.raises(subprocess.CalledProcessError, match="psql"):
        subprocess.run(
            [
                "psql",
                "-w",
                "-h",
                "127.0.0.1",
                "-p",
                str(server.port),
                "-U",
                "lidcflow",
                "-d",
                "lidcflow",
                "-c",
                "SELECT 1",
            ],
            check=True,
            capture_output=True,
            env={"PATH": "/usr/bin:/bin"},
        )


def test_a_second_run_sets_the_passwords_that_the_secrets_hold_now(server):
    server.sql("ALTER ROLE lidcflow PASSWORD 'of an attacker'", database="postgres")

    server.run(INFRA / "postgres/roles.sh")

    assert server.sql("SELECT current_user", database="lidcflow", role="lidcflow") == "lidcflow"


def test_a_catalog_that_was_lost_is_restored_from_its_dump(server, secrets):
    url = (secrets / "lidcflow_catalog_url").read_text().strip().replace("postgres:5432", f"127.0.0.1:{server.port}")
    with Tombstones(url) as tombstones:
        tombstones.begin(Subject("series", "1.2.3"), [])
    dump = server.run(INFRA / "postgres/dump.sh", "lidcflow")
    server.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public", database="lidcflow", role="lidcflow")

    server.run(INFRA / "postgres/restore.sh", "lidcflow", data=dump)

    with Tombstones(url) as tombstones:
        assert [one.subject.key for one in tombstones.all()] == ["1.2.3"]
    assert "permission denied" in refusal(server, "SELECT 1", database="lidcflow", role="mlflow")


def test_what_is_no_dump_leaves_the_database_alone(server):
    server.sql("CREATE TABLE kept (a int)", database="mlflow", role="mlflow")

    with pytest.raises(subprocess.CalledProcessError):
        server.run(INFRA / "postgres/restore.sh", "mlflow", data=b"no dump")

    assert server.sql("SELECT count(*) FROM kept", database="mlflow", role="mlflow") == "0"


def test_only_known_databases_are_restored(server):
    with pytest.raises(subprocess.CalledProcessError) as raised:
        server.run(INFRA / "postgres/restore.sh", "postgres", data=b"")

    assert "DATABASE must be prefect, mlflow, mlflow_auth or lidcflow, got postgres" in raised.value.stderr.decode()
