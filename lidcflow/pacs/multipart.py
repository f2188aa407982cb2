"""Read the parts of a multipart/related answer as they come (RFC 2046, RFC 2387)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from email.message import Message

from lidcflow.pacs.patience import Passing

PART_BYTES = 4 * 2**30
"""The longest part: no multi-frame CT has 4 GiB."""

HEADER_BYTES = 2**14
_LINE = b"\r\n"


class _Chunks:
    """What has come and was not taken yet."""

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
                raise Passing("a part that is longer than any")
            self._more()
        return self.take(at + len(mark))[:at]

    def _more(self) -> None:
        chunk = next(self._chunks, None)
        if chunk is None:
            raise Passing("an answer that ends before its last part does")
        self._buffer += chunk


def read_parts(chunks: Iterable[bytes], content_type: str) -> Iterator[bytes]:
    """Yield the content of each part, one in memory at a time.

    Parameters
    ----------
    chunks : iterable of bytes
        The body as it comes.
    content_type : str
        Of the answer: it names the boundary.

    Raises
    ------
    Passing
        If there is no boundary, the body ends too early, or a part is not as long as it says.

    Examples
    --------
    >>> list(read_parts([b"--x\\r\\n\\r\\nfirst\\r\\n--x--"], "multipart/related; boundary=x"))
    [b'first']
    """
    delimiter = b"--" + _boundary(content_type)
    body = _Chunks(chunks)
    body.until(delimiter, HEADER_BYTES)
    while body.take(2) != b"--":
        head = b""
        while not head.endswith(_LINE * 2) and head != _LINE:
            head += body.until(_LINE, HEADER_BYTES) + _LINE
            if len(head) > HEADER_BYTES:
                raise Passing("a part with a head that is longer than any")
        yield _content(body, head, _LINE + delimiter)


def _content(body: _Chunks, head: bytes, delimiter: bytes) -> bytes:
    """Take a part by its length where it tells it: looking for the delimiter costs a search of every byte."""
    n_bytes = _length(head)
    if n_bytes is None:
        return body.until(delimiter, PART_BYTES)
    content = body.take(n_bytes)
    if body.take(len(delimiter)) != delimiter:
        raise Passing("a part of another length than it says")
    return content


def _length(head: bytes) -> int | None:
    for line in head.split(_LINE):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            if not value.strip().isdigit() or int(value) > PART_BYTES:
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
