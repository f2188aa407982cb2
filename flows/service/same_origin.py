"""Which requests a web server of lidcflow answers: those to its own names, from its own pages or from no page at all.

A page of another site can make a browser send requests to this machine. Its browser then says where the page is from
(``Origin``, ``Sec-Fetch-Site``); and a name that was made to point to this machine (DNS rebinding) stands in ``Host``.
"""

from __future__ import annotations

import argparse
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Collection, Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flows.proxies import LOOPBACK

FOREIGN_HOST = (
    "This server answers to its own names only; if this name is one of them, add it to serve.hosts in lidcflow.toml."
)
FOREIGN_PAGE = "This server answers its own pages only, and programs that are no browser."

CLOSED = {
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'self'",
    "X-Frame-Options": "SAMEORIGIN",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Headers of answers where the application sets none: pages load from and send to their own server alone, and no
other site shows them in a frame.

Prefect's pages would ask a statistics service on the internet for its settings, whatever the server's own ones say.
"""

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?")


class SameOrigin:
    """An application behind the checks of `request_refusal`.

    Parameters
    ----------
    app : ASGI application
        What is served.
    names : collection of str
        As `own_names` gives them.
    headers : mapping
        Headers of every answer, where the application does not set them.
    """

    def __init__(self, app: ASGIApp, names: Collection[str], headers: Mapping[str, str] = CLOSED) -> None:
        self._app = app
        self._names = names
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refused = request_refusal(scope.get("method", "GET"), Headers(scope=scope), self._names)
        if scope["type"] == "websocket":
            await (_close(send) if refused else self._app(scope, receive, send))
            return
        answer = PlainTextResponse(f"{refused}\n", 403) if refused else self._app
        await answer(scope, receive, with_headers(send, self._headers))


def request_refusal(method: str, headers: Headers, names: Collection[str]) -> str | None:
    """Return why a request is refused, or None.

    A link on another page may be followed: the browser shows what comes, and the other page does not see it.

    Parameters
    ----------
    method : str
        ``GET`` for the handshake of a websocket.
    headers : Headers
        Of the request.
    names : collection of str
        As `own_names` gives them.

    Examples
    --------
    >>> request_refusal("GET", Headers({"Host": "localhost:4200"}), {"localhost"})
    >>> request_refusal("GET", Headers({"Host": "localhost:4200", "Origin": "http://localhost:9999"}), {"localhost"})
    'This server answers its own pages only, and programs that are no browser.'
    """
    hosts = headers.getlist("host")
    if len(hosts) != 1 or not is_addressed(hosts[0], names):
        return FOREIGN_HOST
    if not all(is_origin(origin, hosts[0]) for origin in headers.getlist("origin")):
        return FOREIGN_PAGE
    sites = set(headers.getlist("sec-fetch-site"))
    return None if sites <= {"none", "same-origin"} or _is_link(method, headers) else FOREIGN_PAGE


def is_addressed(host: str, names: Collection[str]) -> bool:
    """Return whether a Host header is one of this server: one of its names, or a plain IP address.

    Nobody can make an address point elsewhere, as somebody can with a name.

    Examples
    --------
    >>> is_addressed("127.0.0.1:8765", ()), is_addressed("LOCALHOST", ["localhost"])
    (True, True)
    >>> is_addressed("evil.example", ["localhost"]), is_addressed("evil@localhost", ["localhost"])
    (False, False)
    """
    found = _HOST.fullmatch(host.lower())
    if found is None:
        return False
    name = found["name"].strip("[]").removesuffix(".")
    return name in names or _is_ip_address(name)


def is_origin(origin: str, host: str) -> bool:
    """Return whether an Origin header is that of a page of this server.

    Examples
    --------
    >>> is_origin("http://localhost:4200", "localhost:4200"), is_origin("null", "localhost:4200")
    (True, False)
    """
    scheme, _, netloc = origin.lower().partition("://")
    return scheme in ("http", "https") and netloc == host.lower()


def own_names(host: str, more: Collection[str] = ()) -> set[str]:
    """Return the names that a server answers to.

    Parameters
    ----------
    host : str
        What the server listens on. Unless that is loopback, the names of this machine are among them.
    more : collection of str
        Names that others know this machine by.
    """
    names = {*LOOPBACK, host.lower(), *(name.lower() for name in more)}
    if host not in LOOPBACK:
        names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
    return names


def served_address() -> argparse.Namespace:
    """Parse the arguments of a server's process: ``--host``, ``--port``, and ``--name`` for each further name."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--name", action="append", default=[])
    return parser.parse_args()


def with_headers(send: Send, headers: Mapping[str, str]) -> Callable[[Message], Awaitable[None]]:
    """Add headers to the answer, where it does not have them."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            sent = MutableHeaders(scope=message)
            for name, value in headers.items():
                sent.setdefault(name, value)
        await send(message)

    return sending


def _is_link(method: str, headers: Headers) -> bool:
    """Return whether a browser opens the answer as a page of its own, not in a frame."""
    mode, shown_as = headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")
    return method in ("GET", "HEAD") and (mode, shown_as) == ("navigate", "document")


def _is_ip_address(name: str) -> bool:
    try:
        return bool(ipaddress.ip_address(name))
    except ValueError:
        return False


async def _close(send: Send) -> None:
    """Refuse a handshake; uvicorn answers 403."""
    await send({"type": "websocket.close", "code": 1008})
