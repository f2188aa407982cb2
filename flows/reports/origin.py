"""Requirements on requests and headers of answers: no page elsewhere reaches the reports through a browser."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from flows.service.same_origin import FOREIGN_HOST, FOREIGN_PAGE, is_addressed, request_refusal, with_headers

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


class OriginChecked:
    """An application behind the checks; answers keep a policy of their own where they have one.

    Reading takes an address of this server; no other page is let see the answer, for none says so in its headers.

    Parameters
    ----------
    app : ASGI application
        What is served.
    names : set of str
        As `own_names` gives them.
    """

    def __init__(self, app: ASGIApp, names: set[str]) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        refused = self._refusal(scope["method"], Headers(scope=scope))
        answer = PlainTextResponse(refused, 403) if refused else self._app
        await answer(scope, receive, with_headers(send, HEADERS))

    def _refusal(self, method: str, headers: Headers) -> str | None:
        if method in ("GET", "HEAD"):
            return None if is_addressed(headers.get("host", ""), self._names) else FOREIGN_HOST
        return request_refusal(method, headers, self._names) if headers.get("origin") else FOREIGN_PAGE
