"""Nothing is sent: what the servers of `lidcflow up` connect to, look up and start, as Python's audit hooks see it."""

import json
import socket
import subprocess
import sys
import time

import httpx
import pytest

from flows.service.servers import mlflow_server, prefect_server
from lidcflow.config import Config
from tests.templates import copy_prefect_database

WATCHED = """
import os, runpy, sys

def note(event, arguments):
    if event in ("socket.connect", "socket.sendto"):
        line = str(arguments[1][0] if isinstance(arguments[1], tuple) else arguments[1])
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        line = str(arguments[0])
    elif event in ("subprocess.Popen", "os.posix_spawn"):
        line = f"starts {arguments[0]}"
    else:
        return
    os.write(log, (line + chr(10)).encode())

log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
sys.addaudithook(note)
sys.argv = sys.argv[3:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
HERE = {"127.0.0.1", "::1", "localhost", "None", "", "b'localhost'", "b'127.0.0.1'"}
LOCAL_PROGRAMS = {"starts uname", "starts /sbin/ldconfig", "starts file"}
"""What Python's own modules start to learn about this machine."""

START_LIMIT_S = 180.0


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def wait_until_healthy(url, process):
    until_s = time.monotonic() + START_LIMIT_S
    while time.monotonic() < until_s and process.poll() is None:
        try:
            return httpx.get(url, timeout=5).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.2)
    raise AssertionError(f"{url} must answer")


@pytest.fixture
def watched(tmp_path):
    """Return a function that runs a service, asks it for pages, and returns where it turned to meanwhile."""

    def run(service, asked):
        log, module, origin = tmp_path / "log", service.arguments[1], service.health_url.split("/api")[0]
        command = [sys.executable, "-P", "-c", WATCHED, str(log), "-m", module, *service.arguments[2:]]
        process = subprocess.Popen(command, env=service.environment, stderr=subprocess.DEVNULL)
        try:
            wait_until_healthy(service.health_url, process)
            answers = [httpx.request(*one, timeout=30, **more) for one, more in asked(origin.removesuffix("/health"))]
            time.sleep(2)
        finally:
            process.terminate()
            process.wait(30)
        return answers, set(log.read_text().splitlines() if log.exists() else ()) - HERE - LOCAL_PROGRAMS

    return run


def test_mlflow_sends_nothing_and_serves_no_assistant(watched, tmp_path):
    config = Config(workspace=tmp_path, serve={"mlflow_port": free_port()})

    def asked(origin):
        sent = {"json": {"records": [{"event_name": "page", "timestamp_ns": 1}]}, "headers": {"Origin": origin}}
        yield ("GET", origin), {}
        yield ("GET", f"{origin}/ajax-api/3.0/mlflow/ui-telemetry"), {}
        yield ("POST", f"{origin}/ajax-api/3.0/mlflow/ui-telemetry"), sent
        yield ("GET", f"{origin}/ajax-api/3.0/mlflow/assistant/config"), {}

    answers, elsewhere = watched(mlflow_server(config), asked)

    page, telemetry, _, assistant = answers
    assert (page.status_code, assistant.status_code) == (200, 404)
    assert page.text.index("mlflow.assistant.panelOpen_v1") < page.text.index("</head>")
    assert json.loads(telemetry.text)["disable_ui_telemetry"] is True
    assert elsewhere == set()


def test_prefect_sends_nothing_and_shows_no_promotion(watched, tmp_path):
    config = Config(workspace=tmp_path, serve={"prefect_port": free_port()})
    service = prefect_server(config)
    copy_prefect_database(config.prefect_home / "prefect.db")

    answers, elsewhere = watched(
        service, lambda origin: [(("GET", origin), {}), (("GET", f"{origin}/ui-settings"), {})]
    )

    assert answers[0].status_code == 200
    assert service.environment["PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT"] == "false"
    assert elsewhere == set()
