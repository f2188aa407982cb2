"""The password of a workspace's Prefect server: where it is kept, and whose goes first."""

import os
import stat

import pytest

from flows.cli.session import choose_server
from flows.service.lock import lock_workspace
from flows.service.password import CLIENT_VARIABLE, SERVER_VARIABLE, ensure_password, known_password, password_file
from flows.service.servers import addresses
from lidcflow.config import Config
from lidcflow.errors import ResourceError


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.delenv(CLIENT_VARIABLE, raising=False)
    monkeypatch.delenv(SERVER_VARIABLE, raising=False)
    return Config(workspace=tmp_path / "workspace")


def test_a_workspace_keeps_its_password_for_its_owner_alone(config):
    assert known_password(config.prefect_home) is None

    made = ensure_password(config.prefect_home)

    assert stat.S_IMODE(password_file(config.prefect_home).stat().st_mode) == 0o600
    assert len(made) > 40
    assert (ensure_password(config.prefect_home), known_password(config.prefect_home)) == (made, made)
    assert ensure_password(Config(workspace=config.workspace.parent / "other").prefect_home) != made


def test_a_password_that_others_could_read_or_that_is_none_is_replaced(config):
    made = ensure_password(config.prefect_home)
    password_file(config.prefect_home).chmod(0o644)

    after_a_copy = ensure_password(config.prefect_home)
    password_file(config.prefect_home).write_text("\n")
    after_a_full_disk = ensure_password(config.prefect_home)

    assert len({made, after_a_copy, after_a_full_disk}) == 3
    assert stat.S_IMODE(password_file(config.prefect_home).stat().st_mode) == 0o600


@pytest.mark.parametrize("variable", [CLIENT_VARIABLE, SERVER_VARIABLE])
def test_a_password_of_the_users_own_goes_first_and_is_not_kept(config, monkeypatch, variable):
    made = ensure_password(config.prefect_home)
    monkeypatch.setenv(variable, "me:mine")

    assert (ensure_password(config.prefect_home), known_password(config.prefect_home)) == ("me:mine", "me:mine")
    assert password_file(config.prefect_home).read_text().strip() == made


def test_a_workspace_that_is_no_folder_is_told_in_one_sentence(config):
    config.workspace.write_text("")

    with pytest.raises(ResourceError, match=r"workspace .*: must be writable"):
        ensure_password(config.prefect_home)


@pytest.mark.parametrize(
    ("named", "given"),
    [
        (None, True),
        ("http://127.0.0.1:4200/api", True),
        ("http://localhost:4200/api/", True),
        ("http://127.0.0.1:4201/api", False),
        ("http://prefect.example:4200/api", False),
        ("http://127.0.0.1:port/api", False),
    ],
)
def test_the_server_that_serves_the_workspace_gets_its_password_and_no_other_does(config, monkeypatch, named, given):
    monkeypatch.setattr(os, "environ", {"PREFECT_API_URL": named} if named else {})
    made = ensure_password(config.prefect_home)

    with lock_workspace(config.workspace, addresses(config)):
        choose_server(config)

    assert os.environ.get(CLIENT_VARIABLE) == (made if given else None)
    assert os.environ["PREFECT_API_URL"] == (named or "http://127.0.0.1:4200/api")
