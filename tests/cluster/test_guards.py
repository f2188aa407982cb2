"""Nobody gets at Prefect, MLflow, Dask, the database or the PACS of infra/ without credentials."""

import gc
import ssl

import httpx
import pytest
from distributed import Client
from distributed.security import Security

from tests.cluster.stack import PORTS
from tests.infra.compose import INFRA

PREFECT = ["/api/flows/filter", "/api/admin/version", "/api/deployments/filter", "/api/docs"]
MLFLOW = [
    "/",
    "/version",
    "/metrics",
    "/api/2.0/mlflow/experiments/search?max_results=1",
    "/api/2.0/mlflow-artifacts/artifacts",
    "/graphql",
    "/v1/traces",
    "/get-artifact",
    "/ajax-api/2.0/mlflow/gateway-proxy",
]
CERTIFICATES = {"tls_ca_file": "dask_ca.crt", "tls_client_cert": "dask.crt", "tls_client_key": "dask.key"}
WRONG = [None, ("lidcflow", "wrong"), ("admin", "")]


def code(url, *, auth=None, method="GET", **headers):
    with httpx.Client(auth=auth, trust_env=False, timeout=30) as client:
        return client.request(method, url, headers=headers).status_code


def account(servers, name, secret):
    return name, servers.secret(secret)


@pytest.mark.parametrize("auth", WRONG)
@pytest.mark.parametrize("path", PREFECT)
def test_prefect_answers_nobody_whom_it_does_not_know(servers, path, auth):
    assert code(servers.url("prefect") + path, auth=auth, method="POST" if "filter" in path else "GET") == 401


def test_prefect_answers_who_has_the_password_and_tells_all_its_health(servers):
    with servers.prefect() as client:
        assert client.get("/admin/version").status_code == 200
    assert code(f"{servers.url('prefect')}/api/health") == 200
    assert servers.health("prefect")[0] == 0


@pytest.mark.parametrize("auth", WRONG)
@pytest.mark.parametrize("path", MLFLOW)
def test_mlflow_answers_nobody_whom_it_does_not_know(servers, path, auth):
    assert code(servers.url("mlflow") + path, auth=auth, Host="mlflow:5000") == 401


def test_mlflow_answers_who_has_an_account_and_lets_only_the_administrator_see_others(servers):
    users = f"{servers.url('mlflow')}/api/2.0/mlflow/users/get?username=admin"
    runs = f"{servers.url('mlflow')}/api/2.0/mlflow/experiments/search?max_results=1"
    own, administrator = (
        account(servers, "lidcflow", "mlflow_password"),
        account(servers, "admin", "mlflow_admin_password"),
    )

    assert code(runs, auth=own, Host="mlflow:5000") == 200
    assert code(users, auth=own, Host="mlflow:5000") == 403
    assert code(users, auth=administrator, Host="mlflow:5000") == 200
    assert servers.health("mlflow")[0] == 0


def test_mlflow_answers_to_its_own_names_alone(servers):
    own = account(servers, "lidcflow", "mlflow_password")

    assert code(servers.url("mlflow"), auth=own, Host="evil.example") == 403


@pytest.mark.parametrize("protocol", ["tcp", "tls"])
def test_dask_takes_no_work_from_who_has_no_certificate(servers, protocol):
    address = f"{protocol}://{servers.net.addresses['scheduler']}:{PORTS['scheduler']}"
    stranger = Security(require_encryption=protocol == "tls", tls_ca_file=str(servers.folder / "secrets/dask_ca.crt"))

    with pytest.raises((OSError, TypeError, ssl.SSLError)):
        Client(address, timeout=10, security=stranger)
    gc.collect()  # collected in a thread that the next client starts, this one would wait for itself


def test_dask_takes_work_from_who_has_one(servers):
    files = {name: str(servers.folder / "secrets" / file) for name, file in CERTIFICATES.items()}

    with Client(
        f"tls://{servers.net.addresses['scheduler']}:{PORTS['scheduler']}", security=Security(**files)
    ) as client:
        assert client.submit(sum, [1, 2]).result(timeout=60) == 3


def test_an_administrator_gives_accounts_and_himself_new_passwords(servers, tmp_path):
    old = servers.secret("mlflow_admin_password")

    assert signs_in(servers, "reader", set_password(servers, tmp_path, "reader", "of a reader, the first"))
    assert signs_in(servers, "reader", set_password(servers, tmp_path, "reader", "of a reader, the second"))
    assert not signs_in(servers, "reader", "of a reader, the first")
    try:
        assert signs_in(servers, "admin", set_password(servers, tmp_path, "admin", "of the administrator"))
        assert not signs_in(servers, "admin", old)
    finally:
        set_password(servers, tmp_path, "admin", old, MLFLOW_TRACKING_PASSWORD="of the administrator")
    assert signs_in(servers, "admin", old)


def set_password(servers, folder, name, password, **variables):
    """Do what docs/operations.md says, as the one-shot service `accounts` does it."""
    (folder / "new").write_text(f"{password}\n")
    environ = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD_FILE": ""}
    environ |= {"MLFLOW_TRACKING_PASSWORD": servers.secret("mlflow_admin_password")} | variables
    program = str(INFRA / "mlflow_user.py")
    servers.run("python", program, "http://mlflow:5000", name, str(folder / "new"), host="accounts", environ=environ)
    return password


def signs_in(servers, name, password):
    users = f"{servers.url('mlflow')}/api/2.0/mlflow/users/get?username={name}"
    return code(users, auth=(name, password), Host="mlflow:5000") == 200
