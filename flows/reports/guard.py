"""What every request must hold and every answer carries: no page elsewhere gets at the reports through a browser."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from flows.service.same_origin import FOREIGN_PAGE, SameOrigin

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


def guarded(app: ASGIApp, names: set[str]) -> SameOrigin:
    """Put an application behind the checks of every server, and let nothing be sent that no page of its own sends."""
    return SameOrigin(_SentByOwnPages(app), names, HEADERS)


class _SentByOwnPages:
    """An application that only its own pages send anything: browsers name the page in every such request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        reads = scope["method"] in ("GET", "HEAD")
        answer = self._app if reads or "origin" in Headers(scope=scope) else PlainTextResponse(FOREIGN_PAGE, 403)
        await answer(scope, receive, send)
