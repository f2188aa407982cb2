"""WADO-RS: the metadata of a series, and its instances as they lie in the PACS."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from typing import NamedTuple

from lidcflow.config.service import PacsConfig
from lidcflow.dicom.records import VerdictReason
from lidcflow.errors import PacsError, SeriesRefused
from lidcflow.pacs.client import ANSWER_BYTES, NotFound, Pacs
from lidcflow.pacs.query import Item
from lidcflow.pacs.retry import PASSING, Excess, FailureCount, Passing

PART_BYTES = 2 * 2**30
"""The longest part by default: a multi-frame CT of 2,000 frames of 512 x 512 has 1 GiB."""

MOST_PARTS = 100_000
HEADER_BYTES = 2**14
_LINE = b"\r\n"
_LENGTH_DIGITS = 20


AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
"""Asks for instances in the transfer syntax that they are kept in: without it a server decompresses them."""

METADATA_BYTES, MOST_METADATA_BYTES = 2**16, 256 * 2**20
"""Metadata of an instance take 7 kB, with many private elements some times that."""

SPARE_INSTANCES, SPARE_BYTES = 1000, 256 * 2**20
"""A series may have grown since it was listed, and hold other objects beside its images."""

GIB = 2**30


class _Chunks:
    """Bytes received and not yet consumed."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._buffer = bytearray()

    def take(self, n_bytes: int) -> bytes:
        while len(self._buffer) < n_bytes:
            self._more()
        taken = bytes(memoryview(self._buffer)[:n_bytes])
        del self._buffer[:n_bytes]
        return taken

    def until(self, mark: bytes, most_bytes: int) -> bytes:
        """Take what lies before a mark, and the mark."""
        searched = 0
        while (at := self._buffer.find(mark, searched)) < 0:
            searched = max(len(self._buffer) - len(mark) + 1, 0)
            if searched > most_bytes:
                raise Excess(f"a part of more than {most_bytes / 2**20:,.4g} MiB")
            self._more()
        before = self.take(at)
        self.take(len(mark))
        return before

    def _more(self) -> None:
        chunk = next(self._chunks, None)
        if chunk is None:
            raise Passing("an answer that ends before its last part does")
        self._buffer += chunk


def read_parts(
    chunks: Iterable[bytes], content_type: str, *, most_parts: int = MOST_PARTS, part_bytes: int = PART_BYTES
) -> Iterator[bytes]:
    """Yield the content of each part, one in memory at a time.

    Parameters
    ----------
    chunks : iterable of bytes
        The body as it comes.
    content_type : str
        Of the answer: it names the boundary.
    most_parts, part_bytes : int
        Most parts, and the longest one.

    Raises
    ------
    Passing
        If there is no boundary, the body ends too early, or a part is not as long as it says.
    Excess
        If there are more parts, or a longer one.

    Examples
    --------
    >>> list(read_parts([b"--x\\r\\n\\r\\nfirst\\r\\n--x--"], "multipart/related; boundary=x"))
    [b'first']
    """
    delimiter = b"--" + _boundary(content_type)
    body = _Chunks(chunks)
    body.until(delimiter, HEADER_BYTES)
    n_parts = 0
    while body.take(2) != b"--":
        n_parts += 1
        if n_parts > most_parts:
            raise Excess(f"more than {most_parts} parts")
        yield _content(body, _head(body), _LINE + delimiter, part_bytes)


def _head(body: _Chunks) -> bytes:
    head = b""
    while not head.endswith(_LINE * 2) and head != _LINE:
        head += body.until(_LINE, HEADER_BYTES) + _LINE
        if len(head) > HEADER_BYTES:
            raise Excess(f"a part with a head of more than {HEADER_BYTES} bytes")
    return head


def _content(body: _Chunks, head: bytes, delimiter: bytes, part_bytes: int) -> bytes:
    """Take a part by its stated length: searching for the delimiter reads every byte."""
    n_bytes = _length(head)
    if n_bytes is None:
        return body.until(delimiter, part_bytes)
    if n_bytes > part_bytes:
        raise Excess(f"a part of more than {part_bytes / 2**20:,.4g} MiB")
    content = body.take(n_bytes)
    if body.take(len(delimiter)) != delimiter:
        raise Passing("a part of another length than it says")
    return content


def _length(head: bytes) -> int | None:
    for line in head.split(_LINE):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            if not value.strip().isdigit() or len(value) > _LENGTH_DIGITS:
                raise Passing("a part of a length that is none")
            return int(value)
    return None


def _boundary(content_type: str) -> bytes:
    message = Message()
    message["Content-Type"] = content_type
    boundary = message.get_boundary()
    if message.get_content_maintype() != "multipart" or not boundary:
        raise Passing("an answer that is not in parts")
    return boundary.encode("ascii", "replace")


class Bounds(NamedTuple):
    """The most that is taken of the instances of a series.

    Parameters
    ----------
    n_instances : int
        Instances.
    instance_bytes, series_bytes : int
        Of the longest one, and of all together.
    """

    n_instances: int
    instance_bytes: int
    series_bytes: int


def bounds_of(config: PacsConfig, n_instances: int | None = None, image_bytes: int | None = None) -> Bounds:
    """Return the bounds of what was asked for: twice what a series is known to hold, and some more.

    Parameters
    ----------
    config : PacsConfig
        Of the service: the bounds where nothing is known.
    n_instances : int, optional
        Instances that it is said to have.
    image_bytes : int, optional
        Of the pixels of its largest image, uncompressed.
    """
    most = MOST_PARTS if n_instances is None else min(2 * max(n_instances, 0) + SPARE_INSTANCES, MOST_PARTS)
    largest = int(config.largest_instance_gib * GIB)
    part = largest if image_bytes is None else min(2 * image_bytes + SPARE_BYTES, largest)
    known = n_instances is not None and image_bytes is not None
    series = int(config.largest_series_gib * GIB)
    return Bounds(most, part, min(series, most * (2 * (image_bytes or 0)) + SPARE_BYTES) if known else series)


def metadata(pacs: Pacs, url: str, n_instances: int | None = None) -> list[Item]:
    """Get the metadata of the instances of a series: all attributes but the pixels.

    Parameters
    ----------
    pacs : Pacs
        The service.
    url : str
        Address of the series, or of one instance.
    n_instances : int, optional
        Instances that it is said to have.

    Raises
    ------
    SeriesRefused
        If the series is gone, or is not given while the service answers.
    PacsError
        If the service does not answer.
    """
    with _of_one_series(pacs, url):
        most_bytes = min(max(ANSWER_BYTES, (n_instances or 0) * METADATA_BYTES), MOST_METADATA_BYTES)
        items, _ = pacs.get_json(f"{url}/metadata", most_bytes=most_bytes)
        return [item for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []


def instances(pacs: Pacs, url: str, bounds: Bounds | None = None) -> Generator[bytes, None, None]:
    """Yield the instances of a series as files, one in memory at a time, in the order of the server.

    An answer that breaks off is asked for again from its start, so that an instance may come twice.

    Parameters
    ----------
    pacs : Pacs
        The service.
    url : str
        Address of the series, or of one instance.
    bounds : Bounds, optional
        Of what is taken; by default those of the service's settings.

    Raises
    ------
    SeriesRefused
        If the series is gone, or is not given while the service answers, or is more than was asked for.
    PacsError
        If the service does not answer.

    References
    ----------
    DICOM PS3.18 section 10.4.
    """
    patience = FailureCount(pacs.service)
    most = bounds or bounds_of(pacs.service.config)
    limits = {"most_parts": most.n_instances, "part_bytes": most.instance_bytes}
    with _of_one_series(pacs, url):
        while True:
            try:
                with pacs.stream(url, AS_STORED, most_bytes=most.series_bytes) as (content_type, chunks):
                    yield from read_parts(chunks, content_type, **limits)
                return
            except PASSING as error:
                patience.wait(error)


def deleted_refusal(url: str) -> SeriesRefused:
    """Make the refusal of a series that was deleted under way."""
    return SeriesRefused(
        VerdictReason.GONE, f"series {_uid(url)}: must stay in the PACS while it is read, but it is gone"
    )


@contextmanager
def _of_one_series(pacs: Pacs, url: str) -> Iterator[None]:
    """Raise one error for a series that is not sent, and another one for a service that is unavailable."""
    try:
        yield
    except NotFound:
        pacs.check_answers()
        raise deleted_refusal(url) from None
    except PacsError as error:
        pacs.check_answers()
        found = str(error).partition(", got ")[2].partition(";")[0]
        raise SeriesRefused(
            VerdictReason.UNREADABLE,
            f"series {_uid(url)}: the PACS must give it whole, got {found}; check the series there, and try again",
        ) from None


def _uid(url: str) -> str:
    return url.partition("/series/")[2].partition("/")[0]
