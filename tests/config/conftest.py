"""Fixtures of these tests."""

import os

import pytest

from lidcflow.config.validators import MOST_BYTES


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with things in it that are no configuration files."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "nowhere").symlink_to("gone/x")
    (tmp_path / "big").write_bytes(b"#" * (MOST_BYTES + 1))
    os.mkfifo(tmp_path / "pipe")
    return tmp_path
