"""Clients that never end what they began: the server lets go of them, and answers the others meanwhile."""

import itertools
import socket
import threading
import time
from contextlib import ExitStack
from urllib.parse import urlsplit

import httpx
import pytest

from flows.reports import protocol
from tests.flows.reports.conftest import RANGES, serving

WITHIN_S = 1.0
SLACK_S = 5.0
"""A busy machine may be late to close what is due."""

PAGE = f"/studies/{RANGES.study}/{RANGES.series}"
HEAD = "{method} {path} HTTP/1.1\r\nHost: {host}\r\n"
HOLD = "Content-Type: application/json\r\nContent-Length: 4000\r\n\r\n"


@pytest.fixture
def site(config, monkeypatch):
    """Serve with limits of a second; gives the address."""
    for name, value in {"REQUEST_WITHIN_S": WITHIN_S, "ANSWER_WITHIN_S": WITHIN_S, "CHECK_EVERY_S": 0.1}.items():
        monkeypatch.setattr(protocol, name, value)
    monkeypatch.setattr(protocol, "SLOWEST_BYTES_S", 2**30)
    with serving(config) as address:
        yield address


def connect(site, *, receive_bytes=None):
    connection = socket.socket()
    if receive_bytes:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    connection.settimeout(WITHIN_S + SLACK_S)
    connection.connect((urlsplit(site).hostname, urlsplit(site).port))
    return connection


def head_of(site, method="GET", path="/health"):
    host = urlsplit(site).netloc
    origin = f"Origin: {site}\r\n" if method == "POST" else ""
    return (HEAD.format(method=method, path=path, host=host) + origin).encode()


def seconds_until_closed(connection, dripped):
    """Send byte by byte until the server closes; return how long that took."""
    started_s = time.monotonic()
    connection.setblocking(False)
    for byte in itertools.cycle(dripped or [None]):
        try:
            if byte is not None:
                connection.send(bytes([byte]))
            if connection.recv(2**16) == b"":
                break
        except BlockingIOError:
            pass
        except OSError:
            break
        assert time.monotonic() - started_s < WITHIN_S + SLACK_S, "the server still waits"
        time.sleep(0.05)
    return time.monotonic() - started_s


def answers_at_once(site):
    started_s = time.monotonic()
    answer = httpx.get(f"{site}/health", timeout=10, trust_env=False)
    return answer.text == "ok" and time.monotonic() - started_s < 1.0


@pytest.mark.parametrize(
    ("method", "path", "begun", "dripped"),
    [
        ("", "", "", b""),
        ("", "", "", b"GET /health HTTP/1.1"),
        ("GET", "/health", "", b"a: b\r\n"),
        ("GET", "/health", "X: ", b"x"),
        ("POST", f"{PAGE}/feedback", HOLD, b" "),
        ("POST", "/health", HOLD, b" "),
        ("POST", f"{PAGE}/feedback", HOLD, b""),
        ("POST", f"{PAGE}/feedback", HOLD.replace("Content-Length: 4000", "Transfer-Encoding: chunked"), b"1\r\n \r\n"),
    ],
    ids=["silent", "request line", "headers", "one header", "body", "body of a refused one", "no body", "chunks"],
)
def test_a_request_that_never_ends_is_let_go(site, method, path, begun, dripped):
    with connect(site) as connection:
        connection.sendall(head_of(site, method, path) + begun.encode() if method else b"")

        seconds = seconds_until_closed(connection, dripped)

    assert WITHIN_S * 0.5 < seconds < WITHIN_S + SLACK_S
    assert answers_at_once(site)


def test_a_second_request_on_a_connection_has_its_own_time(site):
    with connect(site) as connection:
        for _ in range(4):
            connection.sendall(head_of(site) + b"\r\n")
            answer = b""
            while not answer.endswith(b"ok"):
                answer += connection.recv(2**16)
            assert answer.startswith(b"HTTP/1.1 200")
            time.sleep(WITHIN_S * 0.5)

        assert seconds_until_closed(connection, b"GET /") < WITHIN_S + SLACK_S


def test_an_answer_that_nobody_takes_is_dropped(site):
    with connect(site, receive_bytes=4096) as connection:
        request = head_of(site, path=f"{PAGE}/voxels") + b"\r\n"
        connection.sendall(request * 40)
        time.sleep(WITHIN_S + 2)

        taken = 0
        while True:
            try:
                chunk = connection.recv(2**20)
            except ConnectionResetError:
                break
            if not chunk:
                break
            taken += len(chunk)

    assert taken < 40 * 2 * 65 * 32 * 32 * 2
    assert answers_at_once(site)


def test_an_answer_that_is_taken_slowly_comes_whole(config, monkeypatch):
    monkeypatch.setattr(protocol, "CHECK_EVERY_S", 0.1)
    with serving(config) as site, connect(site, receive_bytes=4096) as connection:
        connection.sendall(head_of(site, path=f"{PAGE}/voxels") + b"Connection: close\r\n\r\n")
        taken = 0
        while chunk := connection.recv(2**12):
            taken += len(chunk)
            time.sleep(0.01)

    assert taken > 2 * 65 * 32 * 32 * 2


def test_others_are_answered_however_many_clients_wait(config, monkeypatch):
    monkeypatch.setattr(protocol, "MOST_CONNECTIONS", 32)
    with serving(config) as site, ExitStack() as stack:
        for number in range(150):
            connection = stack.enter_context(connect(site))
            connection.sendall(
                head_of(site) if number % 2 else head_of(site, "POST", f"{PAGE}/feedback") + HOLD.encode()
            )
        threads = threading.active_count()

        assert all(answers_at_once(site) for _ in range(5))
        assert threading.active_count() <= threads + 1


def test_what_is_being_answered_is_not_closed_for_others(config, monkeypatch):
    monkeypatch.setattr(protocol, "MOST_CONNECTIONS", 4)
    with serving(config) as site, httpx.Client(trust_env=False, timeout=10) as client, ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(connect(site))

        assert client.get(f"{site}/").status_code == 200
        assert client.get(f"{site}{PAGE}/").status_code == 200
