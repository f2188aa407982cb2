"""What `lidcflow up` refuses before it starts or writes anything."""

import pytest

from lidcflow.config import Config
from lidcflow.errors import ResourceError
from tests.flows.service.refusing import refuse_to_start


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
