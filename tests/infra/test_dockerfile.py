"""infra/Dockerfile keeps the rules of images: nothing runs as root, nothing floats, nothing secret is kept."""

import re
import tomllib
from io import BytesIO

import pytest
from dockerfile_parse import DockerfileParser

from tests.infra.compose import INFRA, services

ROOT = INFRA.parent
PINNED = re.compile(r"[a-z0-9./-]+:\d+\.\d+\.\d+-[a-z0-9-]+(@sha256:[0-9a-f]{64})?")
SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|CREDENTIAL|API_KEY|ACCESS_KEY", re.IGNORECASE)


def faults(text):
    """Return what breaks the rules."""
    steps = parsed(text)
    found = [fault for step in steps for fault in faults_of(step)]
    final = [step["value"] for step in steps if step["instruction"] == "USER"]
    if not final or not final[-1].split(":")[0].isdigit() or final[-1].startswith("0"):
        found.append("the last USER must be a number that is not 0")
    return found


def parsed(text):
    return [
        step for step in DockerfileParser(fileobj=BytesIO(text.encode())).structure if step["instruction"] != "COMMENT"
    ]


def faults_of(step):
    what, value = step["instruction"], step["value"]
    if what == "ADD":
        yield f"ADD fetches and unpacks; use COPY: {value}"
    if what in ("ENV", "ARG") and SECRET.search(value):
        yield f"{what} stays in the image: {value}"
    if what == "RUN":
        yield from faults_of_command(value)
    if what == "COPY" and value.split()[-2:] in (["."], [".", "."]):
        yield f"COPY takes the whole folder: {value}"
    if what == "ARG" and value.startswith("PYTHON_IMAGE=") and not PINNED.fullmatch(value.partition("=")[2]):
        yield f"the base image must have its full version: {value}"
    if what == "FROM" and not value.startswith(("${PYTHON_IMAGE}", "build AS", "build-cpu", "base")):
        yield f"an image must come from PYTHON_IMAGE or an earlier stage: {value}"


def faults_of_command(command):
    if re.search(r"\b(curl|wget|sudo)\b", command):
        yield f"RUN fetches or becomes root: {command}"
    if "apt-get install" in command and not ("--no-install-recommends" in command and "/var/lib/apt/lists" in command):
        yield f"RUN keeps apt's lists or takes recommendations: {command}"
    if "pip install" in command and "--constraint requirements.lock" not in command:
        yield f"pip installs what requirements.lock does not name: {command}"


def test_the_dockerfile_keeps_the_rules():
    assert faults((INFRA / "Dockerfile").read_text()) == []


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ("USER 10001:10001", "USER root", "the last USER"),
        ("slim-bookworm", "", "full version"),
        ("3.11.14", "3.11", "full version"),
        ("COPY tasks tasks", "COPY . .", "whole folder"),
        ("COPY tasks tasks", "ADD https://example.org/x /x", "ADD"),
        ("DO_NOT_TRACK=true", "S3_SECRET_KEY=x", "stays in the image"),
        ("RUN python -m venv /opt/venv", "RUN apt-get install -y gcc", "apt's lists"),
        (' --constraint requirements.lock ".[server]"', ' ".[server]"', "requirements.lock"),
        ("FROM base AS cpu", "FROM debian:latest AS cpu", "earlier stage"),
    ],
)
def test_a_broken_rule_is_found(before, after, fault):
    text = (INFRA / "Dockerfile").read_text()
    assert before in text

    assert any(fault in sentence for sentence in faults(text.replace(before, after, 1)))


def test_there_is_a_target_for_every_image_of_compose():
    targets = set(re.findall(r"^FROM \S+ AS (\w+)$", (INFRA / "Dockerfile").read_text(), re.MULTILINE))
    used = {service.document["build"]["target"] for service in services().values() if service.is_ours}

    assert used == {"worker", "cpu", "train"}
    assert used | {"gpu"} <= targets


def test_what_it_copies_is_there_and_what_it_does_not_copy_stays_out_of_the_context():
    copied = set()
    for step in parsed((INFRA / "Dockerfile").read_text()):
        if step["instruction"] == "COPY" and "--from" not in step["value"]:
            copied |= {word for word in step["value"].split()[:-1] if not word.startswith("--")}
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    assert all((ROOT / name).exists() for name in copied)
    assert copied == let_in


def test_the_version_of_the_images_is_that_of_the_package():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert {service.image for service in services().values() if service.is_ours} == {
        f"lidcflow:{version}-worker",
        f"lidcflow:{version}-cpu",
        f"lidcflow:{version}-train",
    }
    assert f'version="{version}"' in (INFRA / "Dockerfile").read_text()
