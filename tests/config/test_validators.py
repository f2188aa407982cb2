"""Addresses and places that are wrong in odd ways: one sentence each, from every command, and no password in any."""

from contextlib import closing

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from flows.cli import app
from lidcflow.catalog.database import Database, engine_of, redacted_url
from lidcflow.catalog.turns import turn
from lidcflow.config import Config, without_secrets
from lidcflow.config.file import load_config
from lidcflow.config.validators import without_passwords
from lidcflow.errors import ConfigError, ResourceError, StoreError
from tasks.tracking.connection import Tracking, connect
from tests.config.faults import PASSWORD


def test_documents_beside_a_loop_of_links_end_in_no_error_of_python(here):
    with pytest.raises(ConfigError, match="must lie outside the workspace"):
        load_config(environ={}, workspace=here / "loop", infer={"documents": str(here / "loop")})


WRONG_URLS = [
    "",
    "nonsense",
    f"foo://me:{PASSWORD}@host/db",
    f"mysql+pymysql://me:{PASSWORD}@host/db",
    f"postgresql+pg8000://me:{PASSWORD}@127.0.0.1:port/db",
    f"postgresql+pg8000://me:{PASSWORD}@127.0.0.1:99999/db",
    f"postgresql+pg8000://me:a@{PASSWORD}@127.0.0.1/db",
    f"postgresql:me:{PASSWORD}@host/db",
    f"postgresql+asyncpg://me:{PASSWORD}@host/db",
    "sqlite://",
    "sqlite:///:memory:",
    "sqlite:///file/catalog.db",
    "sqlite:///folder",
    "sqlite:///loop",
    f"sqlite:///{'x' * 300}",
]


@pytest.mark.parametrize("url", WRONG_URLS, ids=lambda url: url[:30])
@pytest.mark.parametrize("command", [["status"], ["erase", "--list"], ["inbox"], ["index", "folder"]], ids=" ".join)
def test_a_wrong_address_of_the_catalog_is_refused_by_every_command(here, url, command):
    (here / "own.toml").write_text(f'workspace = "ws"\ncatalog_url = "{url}"\n')

    done = CliRunner().invoke(app, [*command, "-c", "own.toml"])

    assert isinstance(done.exception, ConfigError)
    assert "catalog_url" in str(done.exception)
    assert PASSWORD not in str(done.exception) + done.output


@pytest.mark.parametrize("option", ["x=y", f"password={PASSWORD}&nonsense=1"])
def test_an_option_that_the_driver_does_not_take_is_an_error_of_the_catalog(here, option):
    url = f"postgresql+pg8000://me:{PASSWORD}@127.0.0.1:9/db?{option}"
    (here / "own.toml").write_text(f'workspace = "ws"\ncatalog_url = "{url}"\n')

    with pytest.raises(StoreError, match="must have a host and options that its driver pg8000 takes") as raised:
        Database(url)
    with pytest.raises(StoreError, match="driver pg8000"), turn(url, "train", alone=True):
        pass
    done = CliRunner().invoke(app, ["status", "--json", "-c", "own.toml"])

    assert done.exit_code == 0
    assert "options that its driver pg8000 takes" in done.output
    assert PASSWORD not in str(raised.value) + done.output


def test_a_driver_that_is_not_installed_is_named(here):
    with pytest.raises(StoreError, match="driver of catalog_url must be installed, got no module 'psycopg2'"):
        engine_of(f"postgresql://me:{PASSWORD}@127.0.0.1:9/db")


def test_a_catalog_that_is_a_folder_or_no_database_is_told_by_status(here):
    (here / "ws" / "catalog.db").mkdir(parents=True)
    (here / "other").mkdir()
    (here / "other" / "catalog.db").write_text("no database, but longer than a header of one would have to be" * 50)

    for workspace in ("ws", "other"):
        done = CliRunner().invoke(app, ["status", "--json", "-w", workspace])
        assert done.exit_code == 0
        assert "must be a database that can be read and written" in done.output


@pytest.mark.parametrize("name", ["x" * 256, "a/b", "..", ""])
def test_a_name_that_no_folder_can_have_is_no_store(name):
    with pytest.raises(ConfigError, match="store"):
        load_config(environ={"LIDCFLOW_STORE": name})


def test_a_file_in_the_place_of_the_store_is_told_by_status(here):
    (here / "ws").mkdir()
    (here / "ws" / "store").write_text("")

    done = CliRunner().invoke(app, ["status", "--json", "-w", "ws"])

    assert done.exit_code == 0
    assert "must be a folder with the file lidcflow.json in it, got 'Not a directory'" in done.output


@pytest.mark.parametrize(
    "uri",
    ["nonsense", "ftp://x", "http://[", "http://127.0.0.1:port", "sqlite:///folder", f"mysql://me:{PASSWORD}@h/d"],
)
def test_a_wrong_address_of_mlflow_is_an_error_in_a_sentence(here, uri):
    tracking = Tracking.of(Config(workspace=here / "ws", tracking={"uri": uri}))

    with pytest.raises(ResourceError, match=r"tracking .*(check tracking\.uri)$") as raised:
        connect(tracking)

    assert PASSWORD not in str(raised.value)


def test_mlflow_in_memory_is_refused():
    for uri in ("sqlite://", "sqlite:///:memory:"):
        with pytest.raises(ConfigError, match=r"tracking\.uri: must name a file"):
            load_config(environ={"LIDCFLOW_TRACKING__URI": uri})


@pytest.mark.parametrize(
    "url",
    [f"postgresql://me:{PASSWORD}@host/db", f"http://me:a@{PASSWORD}@host", f"x://host/db?password={PASSWORD}&a=b"],
)
def test_passwords_of_any_form_stay_out_of_sentences_and_of_prefect(url):
    assert PASSWORD not in without_passwords(f"got {url!r}")
    assert PASSWORD not in str(without_secrets({"catalog_url": url}))


def test_a_catalog_is_shown_without_password_and_options():
    engine = engine_of(f"sqlite:///catalog.db?password={PASSWORD}")

    assert redacted_url(engine) == "sqlite:///catalog.db"


def test_the_url_forms_that_the_documents_name_are_taken(here):
    for url in ("sqlite:///c.db", f"sqlite:///{here}/new/c.db", "sqlite+pysqlite:///c.db?timeout=5"):
        config = load_config(environ={"LIDCFLOW_CATALOG_URL": url})
        with closing(Database(config.catalog)) as database, database.session() as session:
            assert session.execute(text("select 1")).scalar() == 1
    for url in ("postgresql+pg8000://me@host/db", "postgresql+psycopg://me:p@host:5432/db", "postgresql://host"):
        assert load_config(environ={"LIDCFLOW_CATALOG_URL": url}).catalog == url
