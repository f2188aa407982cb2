import io
import socket
import threading
from contextlib import contextmanager

import pytest

from lidcflow.config import Access, ObjectsConfig
from lidcflow.objects import bucket_of
from lidcflow.source.ranges import fetch, open_object

EMPTY_LISTING = (
    b"<ListBucketResult><Name>b</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>"
)
HALF = (
    b"HTTP/1.1 206 Partial Content\r\nContent-Length: 100\r\nContent-Range: bytes 0-99/200\r\n"
    b"Last-Modified: Tue, 24 Nov 2026 12:00:00 GMT\r\nConnection: close\r\n\r\n" + b"x" * 50
)


MORE = HALF.replace(b"Content-Length: 100", b"Content-Length: 9000") + b"x" * 8950


@contextmanager
def breaking_off(content=HALF):
    """Run a server whose listings are whole and whose objects break off half way, or are what is given."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        threading.Thread(target=answer, args=(server, content), daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def answer(server, content):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(EMPTY_LISTING)
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            connection.sendall(head + EMPTY_LISTING if b"list-type" in connection.recv(4096) else content)


def test_a_body_that_breaks_off_is_an_error_of_its_object():
    with breaking_off() as endpoint:
        access = Access(s3=ObjectsConfig(endpoint=endpoint, anonymous=True, retries=1, timeout_s=2))

        with pytest.raises(OSError, match="an object must be given"):
            fetch("s3://b/key", 0, 100, access)


def test_a_range_is_no_longer_than_was_asked_for():
    with breaking_off(MORE) as endpoint:
        access = Access(s3=ObjectsConfig(endpoint=endpoint, anonymous=True, retries=1, timeout_s=2))

        with pytest.raises(OSError, match="must have at most 100 bytes, got more"):
            fetch("s3://b/key", 0, 100, access)


def test_an_object_is_read_as_a_file(objects):
    bucket_of("s3://bucket", objects.access).put("key", bytes(range(100)))

    with open_object("s3://bucket/key", 100, objects.access) as file:
        assert file.read(3) == b"\0\1\2"
        assert file.seek(-2, io.SEEK_END) == 98
        assert file.read() == b"\x62\x63"
        assert file.seek(-1, io.SEEK_CUR) == 99
