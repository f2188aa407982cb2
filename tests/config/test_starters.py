"""Configurations to start from are valid, and say what they are for."""

import re

import pytest

from lidcflow.config import Config
from lidcflow.config.file import load_config
from lidcflow.config.starters import STARTERS


@pytest.mark.parametrize("role", STARTERS)
def test_a_starter_is_a_valid_configuration(role, tmp_path):
    file = tmp_path / "lidcflow.toml"
    file.write_text(STARTERS[role])

    assert isinstance(load_config(file, {}), Config)
    assert "Research use only, not for diagnosis." in STARTERS[role]


@pytest.mark.parametrize("role", STARTERS)
def test_most_settings_of_a_starter_have_a_comment(role):
    settings = [line for line in STARTERS[role].splitlines() if re.match(r"\w+ = ", line)]

    assert sum("#" in line for line in settings) > len(settings) / 2
