"""What `lidcflow up` refuses before it starts or writes anything."""

import os

import pytest

from flows.service.lock import lock_workspace, served
from flows.service.servers import addresses
from flows.service.up import run_services
from lidcflow.config import Config
from lidcflow.errors import ResourceError


def refuse_to_start(config):
    run_services(config, lambda *_: None, lambda _: None)


def test_a_port_in_use_is_named_with_its_key_and_nothing_is_written(tmp_path, taken_port):
    config = Config(workspace=tmp_path / "ws", serve={"prefect_port": taken_port})

    with pytest.raises(ResourceError, match=f"port {taken_port} .* set serve.prefect_port to another"):
        refuse_to_start(config)

    assert not config.workspace.exists()


@pytest.mark.parametrize(("key", "other"), [("mlflow_port", "prefect_port"), ("reports_port", "prefect_port")])
def test_two_servers_on_one_port_are_refused(tmp_path, key, other):
    config = Config(workspace=tmp_path, serve={key: 4200})

    with pytest.raises(ResourceError, match=rf"serve.{other} and serve.{key} must differ, got 4200 twice"):
        refuse_to_start(config)


def test_an_address_of_another_machine_is_blamed_on_the_host(tmp_path):
    config = Config(workspace=tmp_path, serve={"host": "192.0.2.1"})

    with pytest.raises(ResourceError, match=r"check serve.host"):
        refuse_to_start(config)


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
