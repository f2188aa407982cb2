"""One `lidcflow up` for each workspace."""

import os

import pytest

from flows.service.lock import lock_workspace, served
from flows.service.servers import addresses
from lidcflow.config import Config
from lidcflow.errors import ResourceError
from tests.flows.service.refusing import refuse_to_start


def test_a_second_up_on_a_workspace_is_told_of_the_first(tmp_path):
    config = Config(workspace=tmp_path)

    with (
        lock_workspace(config.workspace, addresses(config)),
        pytest.raises(ResourceError, match=f"only one .*process {os.getpid()} at http://127.0.0.1:4200"),
    ):
        refuse_to_start(config)

    assert served(config.workspace) is None


def test_a_claim_that_a_dead_process_left_behind_counts_for_nothing(tmp_path):
    config = Config(workspace=tmp_path)
    with lock_workspace(config.workspace, addresses(config)):
        left_behind = (tmp_path / "up.json").read_text()
    (tmp_path / "up.json").write_text(left_behind)

    assert "http://127.0.0.1:8765" in left_behind
    assert served(config.workspace) is None
    with lock_workspace(config.workspace, addresses(config)) as mine:
        assert served(config.workspace) == mine
