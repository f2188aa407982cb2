"""What comes from a PACS is bounded: in bytes once decoded, in time for the whole, in values and parts."""

import gzip
import json
import time
import tracemalloc
import zlib
from dataclasses import replace

import pytest

from lidcflow.config.service import PacsConfig
from lidcflow.errors import PacsError, SeriesRefused
from lidcflow.pacs import client, query, retrieve, retry
from lidcflow.pacs.address import PacsPlace, PacsService, series_url
from lidcflow.pacs.body import decoded
from lidcflow.pacs.client import Pacs
from lidcflow.pacs.feed import Position, read_feed
from lidcflow.pacs.query import instance_uids, query_series
from lidcflow.pacs.retrieve import bounds_of, instances, read_parts
from lidcflow.pacs.retry import Excess, Passing
from lidcflow.pacs.send import store
from tests.dicomweb_server import BOUNDARY, JSON, PARTS, Answer, dripping, raw_server

MIB = 2**20
HEAD = b"HTTP/1.1 200 OK\r\n"
TIMEOUT_S = 0.5


@pytest.fixture(autouse=True)
def short_delays(monkeypatch):
    monkeypatch.setattr(retry, "FIRST_DELAY_S", 0.01)


def series_of(tiny, **settings):
    with tiny.connect(**settings) as pacs:
        return query_series(pacs, PacsPlace(pacs.service))


def encoded(body, encoding, **headers):
    return lambda _, answer: replace(answer, body=body(answer.body), headers={"Content-Encoding": encoding, **headers})


def spaces(mib):
    """Compress so many MiB of blanks: they stand for a thousandth of that."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    return b"".join([*(deflate.compress(b" " * MIB) for _ in range(mib)), deflate.flush()])


@pytest.mark.parametrize(
    ("encode", "encoding"),
    [
        (gzip.compress, "gzip"),
        (gzip.compress, "X-GZIP"),
        (zlib.compress, "deflate"),
        (bytes, "identity"),
        (lambda body: gzip.compress(body[:9]) + gzip.compress(body[9:]), "gzip"),
    ],
)
def test_one_compression_that_a_proxy_put_on_is_undone(ct_series, tmp_path, tiny, encode, encoding):
    tiny.hold(ct_series(tmp_path / "ct", n=2))

    with tiny.faulty(encoded(encode, encoding)):
        assert [one.n_instances for one in series_of(tiny)] == [2]


@pytest.mark.parametrize("encoding", ["gzip, gzip", "gzip,identity", "br", "zstd", "compress", "gzip, br"])
def test_other_compressions_are_refused_at_once(tiny, encoding):
    twice = encoded(lambda body: gzip.compress(gzip.compress(body)), encoding)
    refused = "got a compression other than gzip or deflate, or several of them"

    with tiny.faulty(twice), pytest.raises(PacsError, match=refused):
        series_of(tiny)

    assert tiny.requests == ["GET /dicom-web/series"]


def test_an_answer_is_bounded_once_decoded_and_never_held_beyond_that(tiny):
    bomb = spaces(256)
    tracemalloc.start()
    with tiny.faulty(encoded(lambda _: bomb, "gzip")), pytest.raises(PacsError, match="an answer of more than 64 MiB"):
        series_of(tiny)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert len(bomb) < MIB
    assert peak_bytes < 2.5 * 64 * MIB


def test_what_a_compression_lacks_is_asked_for_again():
    body = gzip.compress(b"abc" * 1000)

    for cut in (body[:-9], body[:40], b"no gzip"):
        with pytest.raises(Passing):
            list(decoded([cut], "gzip"))
    assert list(decoded([], "gzip")) == [b""]
    assert b"".join(decoded([body[:7], body[7:]], "gzip")) == b"abc" * 1000


@pytest.mark.parametrize("values", [b"[]", b"{}", b"0", b'""'])
def test_json_of_more_values_than_any_answer_has_is_refused_before_it_is_parsed(tiny, values, monkeypatch):
    monkeypatch.setattr(client, "BYTES_PER_VALUE", 128)
    body = b"[" + b",".join([values] * 2**20) + b"]"

    with tiny.faulty(lambda *_: Answer(body=body)), pytest.raises(PacsError, match="JSON of more values than any"):
        series_of(tiny)


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 100_000, b"9" * 10_000, b"\xff\xfe"])
def test_json_that_is_nested_or_numbered_without_end_is_damaged(tiny, body):
    with tiny.faulty(lambda *_: Answer(body=body)), pytest.raises(PacsError, match="cut short or damaged"):
        series_of(tiny, retries=0)


@pytest.mark.parametrize("number", ["1e400", "-5", "NaN", "9" * 4000, '"many"', "null"])
def test_a_number_of_instances_that_is_none_harms_nothing(ct_series, tmp_path, tiny, number):
    tiny.hold(ct_series(tmp_path / "ct", n=2))
    body = tiny.answer("GET", "/dicom-web/series", b"").body.replace(b'"Value": [2]', f'"Value": [{number}]'.encode())

    with tiny.faulty(lambda *_: Answer(body=body)):
        assert len(series_of(tiny)) == 1


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


def url_of(pacs):
    return series_url(pacs.service, "1.2", "1.2.3")


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"--%s\r\nContent-Length: 9000000000\r\n\r\n", "a part of more than"),
        (b"--%s\r\n\r\n" + b"x" * 2 * MIB, "an answer of more than|a part of more than"),
        (b"--%s\r\n" + b"a: b\r\n" * 5000, "a part with a head of more than"),
        (b"--%s\r\na: " + b"b" * 50_000, "a part of more than 0.01562 MiB"),
        (b"--%s\r\n\r\n" * 1100, "more than 1002 parts"),
    ],
)
def test_parts_without_end_are_set_aside_and_asked_for_once(ct_series, tmp_path, tiny, body, sentence, monkeypatch):
    monkeypatch.setattr(retrieve, "SPARE_BYTES", MIB)
    mark = BOUNDARY.encode()
    sent = body.replace(b"%s", mark, 1).replace(b"\r\n\r\n--%s", b"\r\n\r\n\r\n--" + mark)

    with (
        tiny.faulty(lambda asked, answer: Answer(body=sent, content_type=PARTS) if "/series/" in asked else answer),
        tiny.connect() as pacs,
        pytest.raises(SeriesRefused, match=f"the PACS must give it whole, got ({sentence})"),
    ):
        list(instances(pacs, url_of(pacs), bounds_of(pacs.service.config, 1, 1)))

    assert sum("/series/" in asked for asked in tiny.requests) == 1


def test_a_compressed_series_is_bounded_too(tiny):
    head = f"--{BOUNDARY}\r\n\r\n".encode()
    body = gzip.compress(head) + spaces(600)

    with (
        tiny.faulty(
            lambda asked, answer: (
                Answer(body=body, content_type=PARTS, headers={"Content-Encoding": "gzip"})
                if "/series/" in asked
                else answer
            )
        ),
        tiny.connect() as pacs,
        pytest.raises(SeriesRefused, match="more than 2"),
    ):
        list(instances(pacs, url_of(pacs), bounds_of(pacs.service.config, 1, 1)))


def test_bounds_come_from_what_was_asked_for():
    config = PacsConfig(url="http://pacs", largest_instance_gib=2, largest_series_gib=32)

    unknown, known = bounds_of(config), bounds_of(config, 400, 2 * 512 * 512)

    assert unknown == (100_000, 2 * 2**30, 32 * 2**30)
    assert known == (1800, 257 * MIB, (1800 + 256) * MIB)
    assert bounds_of(config, 10**9)[0] == 100_000
    assert bounds_of(config, -1)[0] == 1000


def test_a_part_of_the_length_that_it_says_may_be_as_long_as_is_allowed():
    part = b"--x\r\nContent-Length: 3\r\n\r\nabc\r\n--x--"

    assert list(read_parts([part], "multipart/related; boundary=x", most_parts=1, part_bytes=3)) == [b"abc"]
    with pytest.raises(Excess):
        list(read_parts([part], "multipart/related; boundary=x", part_bytes=2))


def test_a_service_that_has_always_more_to_give_is_told(tiny, monkeypatch):
    monkeypatch.setattr(query, "MOST_RESULTS", 50)
    numbers = iter(range(1, 10**6))

    def more(_asked, _answer):
        items = [{"00080018": {"vr": "UI", "Value": [f"1.{next(numbers)}"]}} for _ in range(10)]
        return Answer(body=json.dumps(items).encode(), headers={"Warning": "299 more"})

    with tiny.faulty(more), tiny.connect() as pacs, pytest.raises(PacsError, match="more than 50 results of one query"):
        instance_uids(pacs, "1.2", "1.3")


def test_a_feed_without_end_is_read_on_in_the_next_round(tiny, monkeypatch):
    monkeypatch.setattr("lidcflow.pacs.feed.MOST_PAGES", 5)
    numbers = iter(range(1, 10**6))

    def more(asked, answer):
        if "changes" not in asked:
            return answer
        return Answer(body=json.dumps({"Changes": [], "Done": False, "Last": next(numbers)}).encode())

    with tiny.faulty(more), tiny.connect(changes=f"{tiny.url}/changes") as pacs:
        changes, reached = read_feed(pacs, Position(), None)

    assert (changes, reached.sequence) == ([], 6)


@pytest.mark.parametrize("last", ["1e9", "-1", "9" * 30, '"7"', "null"])
def test_a_feed_whose_number_is_none_is_told(tiny, last):
    page = Answer(body=f'{{"Last": {last}}}'.encode(), content_type=JSON)

    with (
        tiny.faulty(lambda *_: page),
        tiny.connect(changes=f"{tiny.url}/changes") as pacs,
        pytest.raises(Exception, match="changes must be Orthanc's feed"),
    ):
        read_feed(pacs, Position(), None)
