import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidcflow.config.service import PacsConfig
from lidcflow.errors import SeriesRefused
from lidcflow.pacs import retrieve
from lidcflow.pacs.address import series_url
from lidcflow.pacs.retrieve import bounds_of, instances, read_parts
from lidcflow.pacs.retry import Excess, Passing
from tests.dicomweb_server import BOUNDARY, PARTS, Answer
from tests.pacs.bounds import MIB, spaces

TYPE = 'multipart/related; type="application/dicom"; boundary="x y"'


def body(*contents, lengths=True):
    head = b"--x y\r\nContent-Type: application/dicom\r\n"
    return (
        b"".join(
            head + (b"Content-Length: %d\r\n" % len(content) if lengths else b"") + b"\r\n" + content + b"\r\n"
            for content in contents
        )
        + b"--x y--"
    )


def chunked(content, size):
    return [content[start : start + size] for start in range(0, len(content), size)]


@given(
    st.lists(st.binary(max_size=40), min_size=1, max_size=4),
    st.booleans(),
    st.integers(1, 50),
)
def test_parts_come_out_as_they_went_in_however_the_body_is_cut_into_chunks(contents, lengths, size):
    assert list(read_parts(chunked(body(*contents, lengths=lengths), size), TYPE)) == contents


@pytest.mark.parametrize("lengths", [True, False])
def test_a_body_that_ends_early_is_never_taken_for_whole(lengths):
    whole = body(b"first", b"second", lengths=lengths)

    for n_bytes in range(len(whole)):
        with pytest.raises(Passing):
            list(read_parts([whole[:n_bytes]], TYPE))


@pytest.mark.parametrize("length", [b"4", b"6", b"-1", b"99999999999999999999", b"x"])
def test_a_part_of_another_length_than_it_says_is_noticed(length):
    content = body(b"first", b"second").replace(b"Content-Length: 5", b"Content-Length: " + length)

    with pytest.raises(Passing, match=r"length|ends before"):
        list(read_parts([content], TYPE))


@pytest.mark.parametrize("content_type", ["", "text/html", "multipart/related", "application/dicom"])
def test_an_answer_that_is_not_in_parts_is_noticed(content_type):
    with pytest.raises(Passing, match="not in parts"):
        list(read_parts([b"anything"], content_type))


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
