"""What every request must hold and every answer carries: no page elsewhere gets at the reports through a browser."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flows.service.servers import LOOPBACK

OWN_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; img-src data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing is loaded from elsewhere and no script runs that is not a file of ours."""

HEADERS = {
    "Content-Security-Policy": OWN_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guarded:
    """An application behind the checks; answers keep a policy of their own where they have one.

    Parameters
    ----------
    app : ASGI application
        What is served.
    host : str
        What the server listens on; requests must be addressed to it, to this machine, or to a plain IP address.
    """

    def __init__(self, app: ASGIApp, host: str) -> None:
        self._app = app
        self._names = {"localhost", host.lower()}
        if host not in LOOPBACK:
            self._names |= {socket.gethostname().lower(), socket.getfqdn().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        answer = self._app
        if not is_addressed(headers.get("host", ""), self._names):
            answer = PlainTextResponse("This server answers to its own names only.", 403)
        elif scope["method"] not in ("GET", "HEAD") and not is_same_origin(headers):
            answer = PlainTextResponse("Only this server's own pages may send anything.", 403)
        await answer(scope, receive, _with_headers(send))


def is_addressed(host: str, names: set[str]) -> bool:
    """Tell whether a Host header is one of this machine: a name that was made to point here is not.

    Examples
    --------
    >>> is_addressed("127.0.0.1:8765", set()), is_addressed("evil.example", {"localhost"})
    (True, False)
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name in names or bool(ipaddress.ip_address(name))
    except ValueError:
        return False


def is_same_origin(headers: Headers) -> bool:
    """Tell whether a request comes from a page of this server: browsers say so of everything that is sent."""
    origin = urlsplit(headers.get("origin", "")).netloc
    return (
        bool(origin) and origin == headers.get("host") and headers.get("sec-fetch-site", "same-origin") == "same-origin"
    )


def _with_headers(send: Send) -> Callable[[Message], Awaitable[None]]:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
