"""Commands and environments of the servers and the worker."""

from flows.service.servers import addresses, mlflow_server, prefect_server, reports_server, worker
from lidcflow.config import Config


def test_servers_listen_on_loopback_and_keep_passwords_off_the_command_line(tmp_path):
    secrets = {
        "tracking": {"uri": "postgresql://me:secret@host/mlflow"},
        "catalog_url": "postgresql://me:secret@host/a",
    }
    config = Config(workspace=tmp_path, **secrets)

    services = [prefect_server(config), mlflow_server(config), worker(config), reports_server(config)]

    arguments = [" ".join(service.arguments) for service in services]
    assert [" --host 127.0.0.1 " in text for text in arguments] == [True, True, False, False]
    assert "secret" not in "".join(arguments)
    assert services[1].environment["MLFLOW_BACKEND_STORE_URI"].endswith("secret@host/mlflow")
    assert {service.environment["DO_NOT_TRACK"] for service in services} == {"true"}
    assert {service.environment["PREFECT_HOME"] for service in services} == {str(tmp_path / "prefect")}


def test_a_tracking_server_elsewhere_is_shown_and_not_started_here(tmp_path):
    config = Config(workspace=tmp_path, tracking={"uri": "https://mlflow.example"})

    assert mlflow_server(config) is None
    assert addresses(config).mlflow == "https://mlflow.example"


def test_a_server_that_listens_everywhere_is_reached_through_loopback(tmp_path):
    config = Config(workspace=tmp_path, serve={"host": "0.0.0.0", "prefect_port": 4201})

    assert addresses(config).prefect_api == "http://127.0.0.1:4201/api"
