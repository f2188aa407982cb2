"""The Prefect server that a command starts for itself: closed to pages, other names and whoever lacks its password."""

import json
import os
import subprocess
import sys

import pytest

from tests.templates import copy_prefect_database

PROGRAM = """
import json, os, subprocess, sys
from pathlib import Path

import httpx

from flows.cli.session import flow_session
from lidcflow.config import Config

with flow_session(Config(workspace=Path(sys.argv[1]))):
    from prefect import flow
    from prefect.client.orchestration import get_client

    @flow
    def small():
        return 3

    assert small() == 3
    child = [sys.executable, "-c", "from prefect.settings import PREFECT_API_URL; print(PREFECT_API_URL.value())"]
    of_a_child = subprocess.run(child, capture_output=True, text=True, check=True).stdout.strip()
    with get_client(sync_client=True) as client:
        runs, api = len(client.read_flow_runs()), str(client.api_url).rstrip("/")
    password = os.environ["PREFECT_API_AUTH_STRING"]
    user = httpx.BasicAuth(*password.split(":"))
    asked = {
        "password": ({}, user),
        "none": ({}, None),
        "origin": ({"Origin": "http://evil.example"}, user),
        "host": ({"Host": "evil.example"}, user),
        "cross-site": ({"Sec-Fetch-Site": "cross-site"}, user),
    }
    with httpx.Client(trust_env=False) as browser:
        codes = {
            name: browser.post(f"{api}/flow_runs/filter", json={}, headers=headers, auth=auth).status_code
            for name, (headers, auth) in asked.items()
        }
    print(json.dumps({"runs": runs, "codes": codes, "kept": any(Path(sys.argv[1]).rglob("password")),
        "same": of_a_child == api}))
print("PREFECT_API_URL" in os.environ)
"""


@pytest.fixture
def environment():
    """Return the environment of a command without a configured Prefect server."""
    named = ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING", "PREFECT_HOME")
    return {name: value for name, value in os.environ.items() if name not in named}


def test_flows_and_the_processes_that_they_start_use_it_and_nobody_else_does(tmp_path, environment):
    shadow = tmp_path / "flows"
    shadow.mkdir()
    copy_prefect_database(tmp_path / "workspace" / "prefect" / "prefect.db")
    (shadow / "__init__.py").write_text("raise SystemExit('a package of the working folder was imported')")

    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, tmp_path / "workspace"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    found, left = (json.loads(line.lower()) for line in done.stdout.splitlines()[-2:])
    assert found["codes"] == {"password": 200, "none": 401, "origin": 403, "host": 403, "cross-site": 403}
    assert (found["runs"], found["kept"]) == (1, False)
    assert (found["same"], left) == (True, False)
