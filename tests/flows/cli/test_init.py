"""`lidcflow init` writes a configuration that the other commands read, and overwrites nothing."""

import pytest

from lidcflow.config.file import load_config
from lidcflow.config.starters import STARTERS
from lidcflow.errors import ConfigError


@pytest.mark.parametrize("role", STARTERS)
def test_a_role_has_its_own_file(lidcflow, tmp_path, role):
    done = lidcflow("init", role, "--out", tmp_path / "own.toml")

    assert done.exit_code == 0
    assert "lidcflow doctor" in done.stdout
    assert (tmp_path / "own.toml").read_text() == STARTERS[role]


def test_a_configuration_that_is_there_is_kept(lidcflow, tmp_path):
    (tmp_path / "own.toml").write_text("workspace = 'mine'\n")

    done = lidcflow("init", "--out", tmp_path / "own.toml")

    assert isinstance(done.exception, ConfigError)
    assert "must not exist yet" in str(done.exception)
    assert load_config(tmp_path / "own.toml").workspace.name == "mine"


def test_a_role_that_is_none_is_wrong_usage(lidcflow):
    assert lidcflow("init", "surgeon").exit_code == 2
