"""The server as a process: from the command, and as a service of `lidcflow up`."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.service.processes import Guarded, answers
from flows.service.servers import reports_server
from lidcflow.config import Config
from lidcflow.errors import ResourceError

START_LIMIT_S = 60
COMMAND = "from flows.cli import main; main()"


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def wait_for(claim):
    deadline = time.monotonic() + START_LIMIT_S
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_command_serves_until_ctrl_c_and_ends_well(port, tmp_path):
    arguments = [sys.executable, "-c", COMMAND, "reports", "--port", str(port), "--workspace", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path) as process:
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/health"))

        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=START_LIMIT_S)[0]

    assert process.returncode == 0
    assert said == f"Reports at http://127.0.0.1:{port}; Ctrl-C stops it. Research use only.\n"
    assert list(tmp_path.iterdir()) == []


def test_the_service_takes_its_configuration_from_its_environment(port, tmp_path):
    service = reports_server(Config(workspace=tmp_path, serve={"reports_port": port}))
    running = Guarded(service)
    try:
        wait_for(running.healthy)
    finally:
        running.stop()

    assert running.exit_code is not None


def test_a_port_in_use_is_named_with_its_key(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = CliRunner().invoke(app, ["reports", "--port", str(port), "--workspace", str(tmp_path)])

    assert isinstance(done.exception, ResourceError)
    assert "set serve.reports_port to another port" in str(done.exception)
