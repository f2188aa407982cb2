"""docs/operations.md names what there is: files, services, secrets, settings."""

import fnmatch
import re
import textwrap
import tomllib

import pytest

from lidcflow.config.cluster import is_class
from lidcflow.config.file import load_config
from tests.infra.compose import INFRA, document, services

ROOT = INFRA.parent
RUNBOOK = (ROOT / "docs/operations.md").read_text()
SECURITY = (ROOT / "docs/security.md").read_text()
MADE_LATER = ("infra/secrets", "infra/kubernetes/base/secrets", "infra/.env", "infra/site.yaml")


def blocks(text):
    """Return what is set off by four spaces, a text for each place."""
    return [textwrap.dedent(found) for found in re.findall(r"(?:^    .*\n|^\n(?=    ))+", text, re.MULTILINE)]


def rotated():
    table = RUNBOOK.partition("## Rotate keys")[2].partition("## Grow")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


@pytest.mark.parametrize("page", [RUNBOOK, SECURITY, (INFRA / "README.md").read_text()])
def test_files_that_are_named_are_there(page):
    named = set(re.findall(r"(?<![\w/])(?:infra|tests|docs|flows|tasks|deployments)/[\w./-]*\w", page))

    assert named
    assert [name for name in named if not name.startswith(MADE_LATER) and not (ROOT / name).exists()] == []


def test_services_that_commands_name_are_there():
    verbs = r"(?:up|run|exec|stop)"
    commands = re.findall(rf"(?:compose[^`\n]*? |`){verbs} ((?:--?[\w-]+ )*)([a-z][a-z-]+)", RUNBOOK)

    assert len(commands) > 8
    assert {name for _, name in commands} <= set(services())


def test_every_secret_has_its_way_to_be_rotated():
    derived = {"prefect_database_url", "mlflow_database_url", "lidcflow_catalog_url", "mlflow_auth.ini"}
    derived |= {"storage_identities.json", "orthanc_users.json", "dask_ca.crt"}

    for secret in set(document()["secrets"]) - derived:
        assert any(fnmatch.fnmatch(secret, pattern) for pattern in rotated()), secret


def test_the_configuration_for_slurm_is_one():
    (text,) = (block for block in blocks(RUNBOOK) if "SLURMCluster" in block)

    config = load_config(environ={}, **tomllib.loads(text)).cluster

    assert is_class(config.pool("preprocess").place)
    assert config.pool("preprocess").maximum == 64
    assert config.pool("train").arguments["worker_extra_args"] == ["--resources GPU=1"]
    assert config.tls is not None


def test_the_configuration_of_the_services_is_one(secrets):
    config = load_config(
        INFRA / "lidcflow.toml", environ={"LIDCFLOW_CATALOG_URL_FILE": f"{secrets}/lidcflow_catalog_url"}
    )

    assert config.cluster.pool("train").place == "tls://scheduler:8786"
    assert config.catalog.startswith("postgresql+pg8000://lidcflow:")
    assert config.tracking_uri == "http://mlflow:5000"
    assert config.access.pacs["main"].url == "http://orthanc:8042/dicom-web"
    assert {str(config.cluster.tls.ca), str(config.cluster.tls.certificate), str(config.cluster.tls.key)} <= set(
        services()["flows"].secrets
    )
