"""An S3-like server with faults to order: on loopback in a thread, or ``python -m tests.object_storage HOST PORT``."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from lidcflow.config import Access, ObjectsConfig

Environ = dict[str, Any]
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


def serving(storage: ObjectStorage, host: str, port: int) -> Any:
    """Return a server of `storage` that listens; its endpoint is written there."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, *_: Any) -> None:
            """Log nothing."""

    moto = DomainDispatcherApplication(create_backend_app)

    def application(environ: Environ, start_response: Callable[..., Any]) -> Any:
        size = int(environ.get("CONTENT_LENGTH") or 0)
        if environ["PATH_INFO"] == ORDERS:
            storage.obey(json.loads(environ["wsgi.input"].read(size)))
            start_response("200 OK", [("Content-Type", "application/json")])
            return [json.dumps(storage.requests).encode()]
        status = storage.answer(environ)
        if status is None:
            return moto(environ, start_response)
        environ["wsgi.input"].read(size)
        start_response(f"{status} Fault", [("Content-Type", "text/plain")])
        return [b"a fault that a test ordered"]

    server = make_server(host, port, application, threaded=True, request_handler=Quiet)
    storage.endpoint = f"http://{host}:{server.port}"
    return server


@contextmanager
def object_storage() -> Iterator[ObjectStorage]:
    """Run a server on loopback with one empty bucket, ``bucket``, that anyone may read and write."""
    import boto3

    server = serving(storage := ObjectStorage(""), "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any", "region_name": "us-east-1"}
    client = boto3.client("s3", endpoint_url=storage.endpoint, **keys)
    client.create_bucket(Bucket="bucket", ACL="public-read-write")
    client.close()
    storage.requests.clear()
    try:
        yield storage
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


if __name__ == "__main__":
    serving(ObjectStorage(""), sys.argv[1], int(sys.argv[2])).serve_forever()
