"""Releases are listed without MLflow exactly as MLflow lists them."""

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from lidcflow.config import Config
from lidcflow.errors import ReleaseError
from tasks.tracking import registry, releases
from tasks.tracking.connection import Tracking
from tasks.tracking.erasure import mark_release
from tests.published import publish


@pytest.fixture
def tracking(tmp_path, monkeypatch, release_record):
    """Return where three versions are registered: the first one in force, the second with data erased."""
    monkeypatch.chdir(tmp_path)
    found = Tracking.of(Config())
    for _ in range(3):
        publish(release_record)
    registry.set_champion(found, 1, "the only one")
    mark_release(found, 2, "e1", "1 series of 1 patient in its snapshot were erased on 2026-11-24")
    return found


@pytest.fixture
def without_mlflow(monkeypatch):
    """Fail where MLflow is asked."""

    def asked():
        raise AssertionError("MLflow was asked")

    monkeypatch.setattr(releases, "_registry", asked)


@pytest.mark.usefixtures("without_mlflow")
def test_that_there_is_no_release_is_told_without_mlflow(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    nothing = Tracking.of(Config())
    assert releases.champion_version(nothing) is None
    with pytest.raises(ReleaseError, match="release champion: there must be a release, got none; run `lidcflow train`"):
        releases.load_release(nothing, "champion")


def database_of(tracking):
    return sqlite3.connect(tracking.uri.removeprefix("sqlite:///"))


@pytest.mark.usefixtures("without_mlflow")
def test_the_list_is_the_one_of_mlflow(tracking):
    assert releases.list_releases(tracking) == registry.list_releases(tracking)
    assert [(one.version, one.champion, bool(one.erased)) for one in releases.list_releases(tracking)] == [
        (3, False, False),
        (2, False, True),
        (1, True, False),
    ]


@pytest.mark.usefixtures("without_mlflow")
@pytest.mark.parametrize("reference", ["champion", "3"])
def test_a_release_is_loaded_as_by_mlflow(tracking, reference):
    assert releases.load_release(tracking, reference) == registry.load_release(tracking, reference)
    assert releases.champion_version(tracking) == 1


@pytest.mark.usefixtures("without_mlflow")
def test_a_deleted_version_is_listed_no_more(tracking):
    registry.connect(tracking).delete_model_version(tracking.registry_name, "3")

    assert [one.version for one in releases.list_releases(tracking)] == [2, 1]


@pytest.mark.usefixtures("without_mlflow")
def test_a_record_that_has_changed_is_a_fault(tracking, tmp_path):
    for file in tmp_path.rglob("release/release.json"):
        file.write_text(file.read_text().replace("0.25", "0.26"))

    assert [one.fault for one in releases.list_releases(tracking)] == [
        one.fault for one in registry.list_releases(tracking)
    ]
    with pytest.raises(ReleaseError, match="SHA-256"):
        releases.load_release(tracking, "champion")


def test_of_a_record_that_is_gone_or_a_link_mlflows_way_says_what_is_wrong(tracking, tmp_path):
    newest, *others = sorted(tmp_path.rglob("release/release.json"))
    shutil.move(newest, tmp_path / "elsewhere.json")
    others[0].with_name("kept.json").symlink_to(newest)
    newest.symlink_to(tmp_path / "elsewhere.json")
    others[0].unlink()

    assert [one.fault for one in releases.list_releases(tracking)] == [
        one.fault for one in registry.list_releases(tracking)
    ]
    assert sum("as plain files" in one.fault for one in releases.list_releases(tracking)) == 2


def test_a_database_of_another_schema_is_left_to_mlflow(tracking, monkeypatch):
    with closing(database_of(tracking)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'other'")
    monkeypatch.setattr(releases, "_registry", lambda: registry)
    monkeypatch.setattr(registry, "list_releases", lambda _: ["asked"])

    assert releases.list_releases(tracking) == ["asked"]


def test_an_unknown_release_is_told_as_by_mlflow(tracking):
    with pytest.raises(ReleaseError, match="must be a version or alias"):
        releases.load_release(tracking, "9")


def test_an_empty_workspace_has_no_release_and_gets_no_database(tmp_path):
    assert releases.list_releases(Tracking.of(Config(workspace=tmp_path))) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("tracking")
def test_the_list_needs_no_mlflow():
    program = (
        "import json, sys; from lidcflow.config import Config; from tasks.tracking.place import Tracking; "
        "from tasks.tracking.releases import list_releases; found = list_releases(Tracking.of(Config())); "
        "print(json.dumps([len(found), 'mlflow' in sys.modules]))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert json.loads(done.stdout) == [3, False]
