"""infra/compose.yaml is what the compose specification says, and keeps to its own rules."""

import json
from importlib.resources import files

import jsonschema
import pytest
import yaml

from tests.infra.compose import FILE, INFRA, SECRETS, document, services

SCHEMA = json.loads((files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json").read_text())
ONE_SHOT = {"buckets", "accounts", "deploy"}
WORDS_OF_SECRETS = ("PASSWORD", "SECRET", "TOKEN", "AUTH_STRING", "ACCESS_KEY", "CONNECTION_URL", "STORE_URI")


def refused(compose):
    validator = jsonschema.validators.validator_for(SCHEMA)(SCHEMA)
    return [f"{'/'.join(map(str, error.path))}: {error.message}" for error in validator.iter_errors(compose)]


@pytest.mark.parametrize("file", ["compose.yaml", "compose.gpu.yaml"])
def test_the_files_keep_to_the_compose_specification(file):
    assert refused(yaml.safe_load((INFRA / file).read_text())) == []


def test_the_specification_refuses_what_it_does_not_know():
    wrong = yaml.safe_load(FILE.read_text())
    wrong["services"]["mlflow"]["helthcheck"] = {}

    assert any("helthcheck" in sentence for sentence in refused(wrong))


def test_every_published_port_is_of_loopback():
    published = [port for service in services().values() for port in service.ports]

    assert len(published) == 5
    assert all(port.startswith("127.0.0.1:") for port in published)


@pytest.mark.parametrize("name", services())
def test_a_service_is_confined_and_starts_again(name):
    entry = services()[name].document

    assert entry["read_only"] is True
    assert entry["cap_drop"] == ["ALL"]
    assert entry["security_opt"] == ["no-new-privileges:true"]
    assert entry["restart"] == ("no" if name in ONE_SHOT else "unless-stopped")
    assert {"cpus", "memory"} <= set(entry["deploy"]["resources"]["limits"])
    assert not entry.get("privileged")
    assert "docker.sock" not in str(entry.get("volumes"))


@pytest.mark.parametrize("name", sorted(set(services()) - ONE_SHOT))
def test_a_service_that_stays_tells_its_health(name):
    assert services()[name].health


def test_images_are_pinned():
    for service in services().values():
        tag = service.image.rpartition(":")[2]
        assert tag[0].isdigit(), f"{service.name}: {service.image}"
        assert "." in tag


def test_no_variable_holds_a_secret():
    for service in services().values():
        for name, value in service.environment.items():
            if any(word in name for word in WORDS_OF_SECRETS):
                assert name.endswith("_FILE"), f"{service.name}: {name}"
                assert value.startswith(f"{SECRETS}/")


@pytest.mark.parametrize("name", services())
def test_a_service_gets_the_secrets_that_it_names_and_no_others(name):
    service = services()[name]
    words = [*service.argv, *service.environment.values()]
    of_the_configuration = {f"{SECRETS}/{file}" for file in ("dask_ca.crt", "dask.crt", "dask.key")}

    used = {word.rpartition("=")[2] for word in words if SECRETS in word}
    extra = set(service.secrets) - used

    assert used <= set(service.secrets)
    if "LIDCFLOW_CONFIG" in service.environment:
        extra -= of_the_configuration
    if name == "postgres":
        extra -= {f"{SECRETS}/{role}_db_password" for role in ("prefect", "mlflow", "lidcflow")}
    if name == "orthanc":
        extra -= {"/etc/orthanc/users.json"}
    assert extra == set()


def test_every_secret_is_one_that_the_script_makes(secrets):
    made = {file.name for file in secrets.iterdir() if file.is_file()}

    assert set(document()["secrets"]) == made
    assert {entry["file"] for entry in document()["secrets"].values()} == {f"./secrets/{name}" for name in made}


def test_networks_lead_nowhere_but_for_what_is_published():
    networks = document()["networks"]

    assert [name for name, network in networks.items() if not network.get("internal")] == ["edge"]
    assert {s.name for s in services().values() if "edge" in s.networks} == {
        s.name for s in services().values() if s.ports
    }


def test_only_who_needs_the_database_reaches_it():
    reaching = {service.name for service in services().values() if "database" in service.networks}

    assert reaching == {"postgres", "prefect", "mlflow", "flows", "deploy", "reports"}


@pytest.mark.parametrize("secret", ["lidcflow_catalog_url", "patient_key"])
def test_workers_know_neither_the_catalog_nor_the_key_of_the_patients(secret):
    knowing = {service.name for service in services().values() if secret in service.secrets.values()}

    assert knowing == {"flows", "deploy"} | ({"reports"} if secret == "lidcflow_catalog_url" else set())
