"""A Prefect server that is named and can't be used ends in one sentence, fast."""

import socket
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.service.named_server import VARIABLES, check_named_server, may_name_a_server, named_server
from lidcflow.config.validators import without_credentials
from lidcflow.errors import ResourceError

HTML = b"<!doctype html><title>somebody else</title>"
WITHIN_S = 15.0
LIDCFLOW = Path(sys.executable).with_name("lidcflow")


@pytest.fixture
def answering():
    """Yield a function that starts a server with one answer to every request, and returns its address."""
    servers = []

    def start(status=200, body=HTML, content_type="text/html"):
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Answer))
        Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/api"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def talking_otherwise():
    """Yield the address of a server that does not speak HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(b"220 mail.hospital ESMTP\r\n")

        Thread(target=talk, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/api"


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """Work in an empty folder, as a command does that has not imported Prefect; return the folder."""
    monkeypatch.delitem(sys.modules, "prefect")
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("pyproject.toml", '[tool.prefect.api]\nurl = "http://a.example/api"\n'),
        ("pyproject.toml", "[tool.prefect\nbroken"),
        ("prefect.toml", '[api]\nurl = "http://a.example/api"\n'),
        (".env", "PREFECT_API_URL=http://a.example/api\n"),
        ("home/profiles.toml", ""),
    ],
)
def test_files_of_prefect_may_name_a_server(workplace, file, text):
    (workplace / "home").mkdir()
    (workplace / file).write_text(text)

    assert may_name_a_server(workplace / "home")


@pytest.mark.parametrize(
    "text", ['[project]\ndependencies = ["prefect>=3"]\n', '[tool.ruff]\nsrc = ["prefect"]\n', "tool = 3\n", ""]
)
def test_a_project_that_only_uses_prefect_names_no_server(workplace, text):
    (workplace / "pyproject.toml").write_text(text)

    assert not may_name_a_server(workplace / "home")


@pytest.mark.parametrize("name", VARIABLES)
def test_a_variable_may_name_a_server(workplace, monkeypatch, name):
    monkeypatch.setenv(name, "x")

    assert may_name_a_server(workplace / "home")


def told(url):
    """Return the sentence, which must come fast and be one line."""
    started_s = time.monotonic()
    with temporary_settings({PREFECT_API_URL: url}), pytest.raises(ResourceError) as caught:
        check_named_server(url)
    assert time.monotonic() - started_s < WITHIN_S
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("status", "way_out"),
    [
        (401, "PREFECT_API_AUTH_STRING"),
        (403, "PREFECT_API_AUTH_STRING"),
        (404, "ends in /api"),
        (500, "look at its log"),
        (503, "look at its log"),
    ],
)
def test_a_server_that_answers_an_error_is_told_with_its_status(answering, status, way_out):
    sentence = told(answering(status))

    assert f"status {status}" in sentence
    assert way_out in sentence


@pytest.mark.parametrize("content_type", ["text/html", "application/json"])
def test_a_server_that_is_no_prefect_api_is_told(answering, content_type):
    assert "not of a Prefect API" in told(answering(content_type=content_type))


def test_json_of_something_else_is_no_prefect_api(answering):
    assert "not of a Prefect API" in told(answering(body=b'{"a": 1}', content_type="application/json"))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/api",
        "http://127.0.0.1:9/api/",
        "http://no-such-host.invalid/api",
        "nonsense",
        "ftp://127.0.0.1/api",
        "http://127.0.0.1:99999/api",
        "http://user:secret@127.0.0.1:9/api",
    ],
)
def test_an_address_that_leads_nowhere_is_told_without_its_password(url):
    sentence = told(url)

    assert sentence.startswith(f"Prefect server {without_credentials(url)}: must answer")
    assert "secret" not in sentence


def test_a_server_that_speaks_another_protocol_is_told(talking_otherwise, answering):
    assert "must answer" in told(talking_otherwise)
    assert "must answer" in told(answering().replace("http:", "https:"))


def test_a_running_server_is_taken_with_and_without_a_slash_at_the_end(prefect_server):
    url = PREFECT_API_URL.value()

    for one in (url, f"{url}/"):
        with temporary_settings({PREFECT_API_URL: one}):
            check_named_server(named_server())


def test_a_profile_that_names_a_server_that_is_down_is_told(tmp_path, ct_series):
    ct_series(tmp_path / "studies" / "a")
    (tmp_path / "prefect").mkdir()
    (tmp_path / "prefect" / "profiles.toml").write_text(
        'active = "ward"\n[profiles.ward]\nPREFECT_API_URL = "http://127.0.0.1:9/api"\n'
    )
    environment = {"PATH": "/usr/bin", "HOME": str(tmp_path), "PREFECT_HOME": str(tmp_path / "prefect")}

    ended = subprocess.run(
        [LIDCFLOW, "preprocess", "studies"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )

    assert ended.returncode == 1
    assert "Prefect server http://127.0.0.1:9/api: must answer" in ended.stderr
    assert "Traceback" not in ended.stderr
