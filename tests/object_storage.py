"""An S3-like server with faults to order: on loopback in a thread, or ``python -m tests.object_storage HOST PORT``."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

from lidcflow.config import Access, ObjectsConfig

if TYPE_CHECKING:
    from tests.cluster.radosgw import Gateway

Environ = dict[str, Any]
Answerer = Callable[[Environ, Callable[..., Any]], Any]
"""A WSGI application."""
Order = dict[str, Any]
ORDERS = "/-/orders"
"""Path that takes orders of faults from another process: ``{"every": 2, "status": 503}``, ``{"slow_s": 1.0}``."""
Fault = Callable[[Environ], "int | None"]
"""Is shown each request; returns a status to answer with instead, or None; may sleep."""


@dataclass
class ObjectStorage:
    """A running server.

    Parameters
    ----------
    endpoint : str
        Its address.
    requests : list of str
        Method and path of every request so far, such as ``"GET /bucket/key"``.
    """

    endpoint: str
    requests: list[str] = field(default_factory=list)
    _faults: list[Fault] = field(default_factory=list)

    @property
    def access(self) -> Access:
        """How to reach it."""
        config = ObjectsConfig(endpoint=self.endpoint, region="us-east-1", anonymous=True, retries=4, timeout_s=5)
        return Access(s3=config, idc=config)

    @contextmanager
    def faulty(self, fault: Fault) -> Iterator[None]:
        """Show `fault` every request while the block runs."""
        self._faults.append(fault)
        try:
            yield
        finally:
            self._faults.remove(fault)

    def obey(self, order: Order) -> None:
        """Put the faults of an order in place of those before; an empty one ends them."""
        self._faults = [every(order["every"], order["status"])] if "status" in order else []
        self._faults += [slow(order["slow_s"])] if "slow_s" in order else []

    def answer(self, environ: Environ) -> int | None:
        """Note a request, and return the status that a fault orders."""
        self.requests.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
        statuses = [fault(environ) for fault in list(self._faults)]
        return next((status for status in statuses if status), None)


def every(nth: int, status: int, method: str = "") -> Fault:
    """Make a fault: every n-th request (of one method, if given) gets `status`."""
    count = iter(range(1, 10**9))

    def fault(environ: Environ) -> int | None:
        if method and environ["REQUEST_METHOD"] != method:
            return None
        return status if next(count) % nth == 0 else None

    return fault


def slow(seconds: float) -> Fault:
    """Make a fault: every request waits."""
    return lambda _environ: time.sleep(seconds)


def serving(storage: ObjectStorage, host: str, port: int, upstream: Answerer | None = None) -> Any:
    """Return a server of `storage` that listens; its endpoint is written there.

    moto answers what no fault does, or the `upstream`.
    """
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, *_: Any) -> None:
            """Log nothing."""

    answer = upstream or DomainDispatcherApplication(create_backend_app)

    def application(environ: Environ, start_response: Callable[..., Any]) -> Any:
        size = int(environ.get("CONTENT_LENGTH") or 0)
        if environ["PATH_INFO"] == ORDERS:
            storage.obey(json.loads(environ["wsgi.input"].read(size)))
            start_response("200 OK", [("Content-Type", "application/json")])
            return [json.dumps(storage.requests).encode()]
        status = storage.answer(environ)
        if status is None:
            return answer(environ, start_response)
        environ["wsgi.input"].read(size)
        start_response(f"{status} Fault", [("Content-Type", "text/plain")])
        return [b"a fault that a test ordered"]

    server = make_server(host, port, application, threaded=True, request_handler=Quiet)
    storage.endpoint = f"http://{host}:{server.port}"
    return server


def passing_to(host: str, port: int) -> Answerer:
    """Return an application that passes each request to another server."""

    def application(environ: Environ, start_response: Callable[..., Any]) -> Any:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        names = [name for name in environ if name.startswith("HTTP_")]
        headers = {name[5:].replace("_", "-"): environ[name] for name in names} | {"Content-Length": str(len(body))}
        if kind := environ.get("CONTENT_TYPE"):
            headers["Content-Type"] = kind
        connection = HTTPConnection(host, port, timeout=60)
        connection.request(environ["REQUEST_METHOD"], environ["REQUEST_URI"], body, headers)
        answer = connection.getresponse()
        passed = [pair for pair in answer.getheaders() if pair[0].lower() not in ("connection", "transfer-encoding")]
        start_response(f"{answer.status} {answer.reason}", passed)
        content = answer.read()
        connection.close()
        return [content]

    return application


@contextmanager
def object_storage(gateway: Gateway | None = None) -> Iterator[ObjectStorage]:
    """Run a server on loopback with one empty bucket, ``bucket``, that anyone may read and write.

    It is moto's, or stands before a real gateway.
    """
    upstream = passing_to("127.0.0.1", gateway.port) if gateway else None
    server = serving(storage := ObjectStorage(""), "127.0.0.1", 0, upstream)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    if gateway:
        gateway.make_public_bucket("bucket")
    else:
        _make_bucket(storage.endpoint)
    storage.requests.clear()
    try:
        yield storage
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _make_bucket(endpoint: str) -> None:
    import boto3

    keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any", "region_name": "us-east-1"}
    client = boto3.client("s3", endpoint_url=endpoint, **keys)
    client.create_bucket(Bucket="bucket", ACL="public-read-write")
    client.close()


if __name__ == "__main__":
    serving(ObjectStorage(""), sys.argv[1], int(sys.argv[2])).serve_forever()
