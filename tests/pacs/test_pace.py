"""The least rate of a transfer."""

import json
import time

import pytest

from lidcflow.config.service import PacsConfig
from lidcflow.errors import PacsError
from lidcflow.pacs.address import PacsPlace, PacsService, series_url
from lidcflow.pacs.client import Pacs
from lidcflow.pacs.query import query_series
from lidcflow.pacs.retrieve import instances
from lidcflow.pacs.send import store
from tests.dicomweb_server import dripping, raw_server
from tests.pacs.asking import series_of
from tests.pacs.bounds import MIB

HEAD = b"HTTP/1.1 200 OK\r\n"


TIMEOUT_S = 0.5


@pytest.fixture
def dripped():
    """Return a function that retrieves a series from a server, and returns the error and the seconds it took."""

    def ask(serve, work=None):
        with raw_server(serve) as url:
            config = PacsConfig(url=url, timeout_s=TIMEOUT_S, retries=0)
            started_s = time.monotonic()
            with Pacs(PacsService("tiny", config)) as pacs, pytest.raises(PacsError) as raised:
                (work or (lambda pacs: query_series(pacs, PacsPlace(pacs.service))))(pacs)
            return str(raised.value), time.monotonic() - started_s

    return ask


KIND = b"Content-Type: application/dicom+json\r\n"


DRIPS = {
    "body": (HEAD + KIND + b"Content-Length: 1000000\r\n\r\n", b" "),
    "body without a length": (HEAD + KIND + b"\r\n", b" "),
    "chunks": (HEAD + KIND + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "the extension of a chunk": (HEAD + KIND + b"Transfer-Encoding: chunked\r\n\r\n1;", b"a"),
    "trailers": (HEAD + KIND + b"Transfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n", b"a: b\r\n"),
    "head": (HEAD, b"a: b\r\n"),
    "one line of the head": (HEAD + b"a: ", b"b"),
    "status": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@pytest.mark.parametrize(("head", "rest"), DRIPS.values(), ids=DRIPS)
def test_an_answer_that_drips_ends(dripped, head, rest):
    sentence, seconds = dripped(dripping(head, rest, 0.05))

    assert "the PACS must answer, got an answer slower than 16 KiB/s" in sentence
    assert seconds < 2 * TIMEOUT_S + 2


def test_a_service_that_takes_a_delivery_drop_by_drop_is_not_waited_for(dripped):
    def serve(connection):
        connection.setsockopt(*BUFFER)
        while connection.recv(512):
            time.sleep(0.1)

    sentence, seconds = dripped(serve, lambda pacs: store(pacs, [bytes(40 * MIB)]))

    assert "got an answer slower than" in sentence or "got nothing for" in sentence
    assert seconds < 60


BUFFER = (1, 8, 4096)
"""SOL_SOCKET, SO_RCVBUF: as little as the system takes."""


def test_a_slow_answer_that_keeps_its_rate_is_read_to_its_end():
    body = json.dumps([]).encode() + b" " * 60_000

    def serve(connection):
        connection.recv(2**16)
        connection.sendall(HEAD + KIND + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body))
        for start in range(0, len(body), 2000):
            connection.sendall(body[start : start + 2000])
            time.sleep(0.06)

    with raw_server(serve) as url:
        config = PacsConfig(url=url, timeout_s=TIMEOUT_S, retries=0)
        started_s = time.monotonic()
        with Pacs(PacsService("tiny", config)) as pacs:
            assert query_series(pacs, PacsPlace(pacs.service)) == []

    assert time.monotonic() - started_s > 2 * TIMEOUT_S + 0.5


def test_a_reader_who_takes_his_time_costs_the_pacs_nothing(ct_series, tmp_path, tiny):
    tiny.hold(ct_series(tmp_path / "ct", n=3))
    (series,) = series_of(tiny)

    with tiny.connect(timeout_s=0.3, retries=0) as pacs:
        url = series_url(pacs.service, series.study_instance_uid, series.series_instance_uid)
        taken = 0
        for _ in instances(pacs, url):
            taken += 1
            time.sleep(0.4)

    assert taken == 3
