"""A tiny DICOMweb server on loopback, with faults to order; what runs well is tested with Orthanc."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pydicom
from pydicom.dataset import Dataset

from lidcflow.config import Access
from lidcflow.config.service import PacsConfig
from lidcflow.pacs.address import PacsService
from lidcflow.pacs.client import Pacs

JSON = "application/dicom+json"
BOUNDARY = "a-boundary"
PARTS = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'


@dataclass(frozen=True)
class Answer:
    """What is sent.

    Parameters
    ----------
    length : int, optional
        Content-Length, where it is not that of the body; -1 leaves it out.
    """

    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None


Fault = Callable[[str, Answer], Answer]
"""Is shown method and path of each request, and its answer; returns another one; may sleep."""


@dataclass
class DicomwebServer:
    """A running server.

    Parameters
    ----------
    url : str
        Address of the service.
    instances : dict
        Files by SOPInstanceUID; tests may change them.
    requests : list of str
        Method and path of every request so far.
    authorizations : list
        The header of every request, None where there was none.
    page : int
        Results that it gives at most in one answer, with a warning when there are more.
    timeout_s : float
        How long those who reach it wait for an answer.
    """

    url: str = ""
    instances: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)
    page: int = 100
    timeout_s: float = 20.0
    faults: list[Fault] = field(default_factory=list)

    @property
    def config(self) -> PacsConfig:
        """How to reach it, with two tries more."""
        return PacsConfig(url=self.url, since="everything", timeout_s=self.timeout_s, retries=2)

    @property
    def access(self) -> Access:
        """How sources reach it, as ``pacs:tiny``."""
        return Access(pacs={"tiny": self.config})

    @property
    def service(self) -> PacsService:
        """The service as ``pacs:tiny`` names it."""
        return PacsService("tiny", self.config)

    def connect(self, **settings: Any) -> Pacs:
        """Open a connection to it, with some settings changed."""
        return Pacs(PacsService("tiny", self.config.model_copy(update=settings)))

    def hold(self, folder: Path) -> None:
        """Take in the files of a folder."""
        for path in sorted(folder.rglob("*.dcm")):
            self.instances[str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)] = path.read_bytes()

    @contextmanager
    def faulty(self, fault: Fault) -> Iterator[None]:
        """Show `fault` every answer while the block runs."""
        self.faults.append(fault)
        try:
            yield
        finally:
            self.faults.remove(fault)

    def answer(self, method: str, target: str, body: bytes) -> Answer:
        """Answer a request as it should be, and then as the faults say."""
        request = urlsplit(target)
        self.requests.append(f"{method} {request.path}")
        query = {key: values[0] for key, values in parse_qs(request.query).items()}
        answer = self._store(body) if method == "POST" else self._found(request.path.removeprefix("/dicom-web"), query)
        for fault in list(self.faults):
            answer = fault(f"{method} {request.path}", answer)
        return answer

    def _found(self, path: str, query: dict[str, str]) -> Answer:
        levels = dict(zip(*[iter(path.strip("/").split("/"))] * 2, strict=False))
        headers = [
            dataset for dataset in map(_header, list(self.instances.values())) if _matches(dataset, levels, query)
        ]
        last = path.rpartition("/")[2]
        if last in ("studies", "series", "instances"):
            return self._results(_summaries(last, headers), query)
        if not headers:
            return Answer(404)
        if last == "metadata":
            return Answer(body=json.dumps([_json(dataset) for dataset in headers]).encode())
        return Answer(body=_parts([self.instances[dataset.SOPInstanceUID] for dataset in headers]), content_type=PARTS)

    def _results(self, found: list[dict[str, Any]], query: dict[str, str]) -> Answer:
        start, limit = int(query.get("offset", 0)), min(int(query.get("limit", self.page)), self.page)
        more = {"Warning": "299 tiny: there are more"} if start + limit < len(found) else {}
        return Answer(body=json.dumps(found[start : start + limit]).encode(), headers=more)

    def _store(self, body: bytes) -> Answer:
        contents = [part.partition(b"\r\n\r\n")[2] for part in body.split(body.partition(b"\r\n")[0])[1:-1]]
        stored = []
        for content in contents:
            uid = str(_header(content).SOPInstanceUID)
            self.instances[uid] = content
            stored.append({"00081155": {"vr": "UI", "Value": [uid]}})
        return Answer(body=json.dumps({"00081199": {"vr": "SQ", "Value": stored}}).encode())


def _header(content: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True)


def _matches(dataset: Dataset, levels: dict[str, str], query: dict[str, str]) -> bool:
    keywords = {"studies": "StudyInstanceUID", "series": "SeriesInstanceUID", "instances": "SOPInstanceUID"}
    wanted = {keywords[level]: uid for level, uid in levels.items() if level in keywords}
    wanted |= {key: value for key, value in query.items() if key in ("Modality", "SeriesInstanceUID")}
    return all(dataset.get(keyword) == value for keyword, value in wanted.items())


def _json(dataset: Dataset) -> dict[str, Any]:
    return dataset.to_json_dict(suppress_invalid_tags=True)


def _summaries(level: str, headers: list[Dataset]) -> list[dict[str, Any]]:
    keywords = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]
    depth = ["studies", "series", "instances"].index(level)
    found: dict[tuple[str, ...], list[Dataset]] = {}
    for dataset in headers:
        found.setdefault(tuple(str(dataset[keyword].value) for keyword in keywords[: depth + 1]), []).append(dataset)
    count = "00201208" if level == "studies" else "00201209"
    return [{**_json(own[0]), count: {"vr": "IS", "Value": [len(own)]}} for _, own in sorted(found.items())]


def _parts(contents: list[bytes]) -> bytes:
    head = b"--%s\r\nContent-Type: application/dicom\r\nContent-Length: %d\r\n\r\n"
    parts = b"".join(head % (BOUNDARY.encode(), len(content)) + content + b"\r\n" for content in contents)
    return parts + b"--" + BOUNDARY.encode() + b"--"


def every(nth: int, status: int, path: str = "") -> Fault:
    """Make a fault: every n-th answer (to a path that holds a text, if given) has another status."""
    count = iter(range(1, 10**9))
    return lambda asked, answer: Answer(status) if path in asked and next(count) % nth == 0 else answer


def first(times: int, fault: Fault, path: str = "") -> Fault:
    """Make a fault that passes: only the first answers (to a path that holds a text) have it."""
    left = iter(range(times))
    return lambda asked, answer: fault(asked, answer) if path in asked and next(left, None) is not None else answer


def hanging(seconds: float) -> Fault:
    """Make a fault: the answer comes late."""

    def fault(_asked: str, answer: Answer) -> Answer:
        time.sleep(seconds)
        return answer

    return fault


def cut(n_bytes: int, *, told: bool) -> Fault:
    """Make a fault: the last bytes of the body are lacking, with the length of the whole, or without a length."""
    return lambda _, answer: replace(answer, body=answer.body[:-n_bytes], length=len(answer.body) if told else -1)


@contextmanager
def raw_server(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """Yield the address of a server that hands each connection to a function, which may break any rule of HTTP."""

    def handle(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):  # of a client that lost its patience
            serve(connection)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=handle, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/dicom-web"
        listener.shutdown(socket.SHUT_RDWR)


def dripping(head: bytes, rest: bytes, seconds: float) -> Callable[[socket.socket], None]:
    """Make an answer whose rest comes byte by byte, and from its start again when it has come."""

    def serve(connection: socket.socket) -> None:
        connection.recv(2**16)
        connection.sendall(head)
        for byte in itertools.cycle(rest):
            connection.sendall(bytes([byte]))
            time.sleep(seconds)

    return serve


@contextmanager
def dicomweb_server(tls: ssl.SSLContext | None = None) -> Iterator[DicomwebServer]:
    """Run a server on a free port of loopback."""
    tiny = DicomwebServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            tiny.authorizations.append(self.headers.get("Authorization"))
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer = tiny.answer(self.command, self.path, body)
            length = len(answer.body) if answer.length is None else answer.length
            self.close_connection = True
            self.send_response(answer.status)
            for name, value in {"Content-Type": answer.content_type, "Connection": "close", **answer.headers}.items():
                self.send_header(name, value)
            if length >= 0:
                self.send_header("Content-Length", str(length))
            self.end_headers()
            try:
                self.wfile.write(answer.body)
            except OSError:  # a client that lost its patience
                return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        server.handle_error = lambda *_: None  # a client that turns away is no error here
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True)
    thread.start()
    tiny.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}/dicom-web"
    try:
        yield tiny
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
