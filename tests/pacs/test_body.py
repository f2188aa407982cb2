"""The body of an answer, decoded within its bound."""

import gzip
import tracemalloc
import zlib
from dataclasses import replace

import pytest

from lidcflow.errors import PacsError
from lidcflow.pacs.body import decoded
from lidcflow.pacs.retry import Passing
from tests.pacs.asking import series_of
from tests.pacs.bounds import MIB, spaces


def encoded(body, encoding, **headers):
    return lambda _, answer: replace(answer, body=body(answer.body), headers={"Content-Encoding": encoding, **headers})


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
