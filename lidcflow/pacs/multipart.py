"""Read the parts of a multipart/related answer as they come (RFC 2046, RFC 2387)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from email.message import Message

from lidcflow.pacs.patience import Excess, Passing

PART_BYTES = 2 * 2**30
"""The longest part by default: a multi-frame CT of 2,000 frames of 512 x 512 has 1 GiB."""

MOST_PARTS = 100_000
HEADER_BYTES = 2**14
_LINE = b"\r\n"
_LENGTH_DIGITS = 20


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
    """Take a part by its length where it tells it: looking for the delimiter costs a search of every byte."""
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
