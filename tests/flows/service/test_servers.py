"""Commands and environments of the servers and the worker."""

import pytest

from flows.service.fork_client import FORK_SERVER, connect
from flows.service.password import CLIENT_VARIABLE, SERVER_VARIABLE, ensure_password
from flows.service.servers import addresses, fork_server, mlflow_server, prefect_server, reports_server, worker
from lidcflow.config import Config


def test_servers_listen_on_loopback_and_keep_passwords_off_the_command_line(tmp_path):
    secrets = {
        "tracking": {"uri": "postgresql://me:secret@host/mlflow"},
        "catalog_url": "postgresql://me:secret@host/a",
    }
    config = Config(workspace=tmp_path, **secrets)

    services = [prefect_server(config), mlflow_server(config), worker(config, tmp_path), reports_server(config)]

    arguments = [" ".join((*service.arguments, "")) for service in services]
    assert [" --host 127.0.0.1 " in text for text in arguments] == [True, True, False, False]
    assert "secret" not in "".join(arguments)
    assert services[1].environment["MLFLOW_BACKEND_STORE_URI"].endswith("secret@host/mlflow")
    assert {service.environment["DO_NOT_TRACK"] for service in services} == {"true"}
    assert {service.environment["PREFECT_HOME"] for service in services} == {str(tmp_path / "prefect")}


def test_the_worker_asks_the_fork_server_that_was_started_for_it(tmp_path):
    config = Config(workspace=tmp_path)

    assert worker(config, tmp_path).environment[FORK_SERVER] == fork_server(config, tmp_path).arguments[-1]


def test_where_the_path_is_too_long_for_a_socket_there_is_no_fork_server_and_runs_start_all_the_same(tmp_path):
    config, folder = Config(workspace=tmp_path), tmp_path / ("a" * 100)

    assert fork_server(config, folder) is None
    assert connect(worker(config, folder).environment[FORK_SERVER]) is None


def test_a_tracking_server_elsewhere_is_shown_and_not_started_here(tmp_path):
    config = Config(workspace=tmp_path, tracking={"uri": "https://mlflow.example"})

    assert mlflow_server(config) is None
    assert addresses(config).mlflow == "https://mlflow.example"


def test_a_server_that_listens_everywhere_is_reached_through_loopback(tmp_path):
    config = Config(workspace=tmp_path, serve={"host": "0.0.0.0", "prefect_port": 4201})

    assert addresses(config).prefect_api == "http://127.0.0.1:4201/api"


@pytest.mark.parametrize(("host", "url"), [("::1", "http://[::1]:4200"), ("::", "http://[::1]:4200")])
def test_an_ipv6_address_stands_in_brackets(tmp_path, host, url):
    assert addresses(Config(workspace=tmp_path, serve={"host": host})).prefect == url


def test_the_password_of_prefect_goes_to_what_asks_it_and_to_nothing_else(tmp_path):
    config = Config(workspace=tmp_path)
    password = ensure_password(config.prefect_home)

    services = [prefect_server(config), worker(config, tmp_path), fork_server(config, tmp_path), mlflow_server(config)]

    holders = [[name for name, value in service.environment.items() if value == password] for service in services]
    assert holders == [[SERVER_VARIABLE], [CLIENT_VARIABLE], [CLIENT_VARIABLE], []]
    assert not any(password in argument for service in services for argument in service.arguments)


def test_prefect_takes_changes_with_a_token_and_allows_no_origin_but_its_own(tmp_path):
    environment = prefect_server(Config(workspace=tmp_path)).environment

    assert environment["PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED"] == "true"
    assert environment["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] == "http://127.0.0.1:4200"


def test_the_servers_are_told_the_names_they_answer_to(tmp_path):
    config = Config(workspace=tmp_path, serve={"hosts": ["reader", "reader.hospital.example"]})

    for service in (prefect_server(config), mlflow_server(config)):
        assert service.arguments[-4:] == ("--name", "reader", "--name", "reader.hospital.example")
