"""MLflow's page without the panels of its assistant and its remark on telemetry: neither is served, both are shown.

The page decides by values that the browser keeps. They are set in the page itself, before its program runs, and stay as
they are where somebody has changed them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

KEPT = {
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
    "mlflow.assistant.panelOpen_v1": "false",
    "mlflow.settings.telemetry.enabled_v1": "false",
    "mlflow.telemetry.info.alert.dismissed_v1": "true",
    "mlflow.workflowType_v1": '"machine_learning"',
}
"""Browser settings for MLflow 3.17, as JSON; another version ignores names that it does not know."""

_SETTING = "".join(f"s.getItem('{key}')===null&&s.setItem('{key}','{value}');" for key, value in KEPT.items())
QUIET = (
    f"<script>try{{const s=window.localStorage;{_SETTING}}}catch(e){{}}</script>"
    '<style>[data-assistant-ui="true"]{display:none!important}</style>'
).encode()


def quiet_page(app: ASGIApp) -> ASGIApp:
    """Return the application with the page at ``/`` made quiet; everything else passes as it is."""

    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] != "/":
            await app(scope, receive, send)
            return
        held: list[Message] = []

        async def hold(message: Message) -> None:
            held.append(message)

        await app(scope, receive, hold)
        body = b"".join(message.get("body", b"") for message in held).replace(b"</head>", QUIET + b"</head>", 1)
        await send({**held[0], "headers": _with_length(held[0]["headers"], len(body))})
        await send({"type": "http.response.body", "body": body})

    return answering


def _with_length(headers: list[tuple[bytes, bytes]], length: int) -> list[tuple[bytes, bytes]]:
    """Return headers that fit a page of another length; the tag of the file would no longer name it."""
    changed = {b"content-length", b"etag", b"last-modified"}
    kept = [(name, value) for name, value in headers if name.lower() not in changed]
    return [*kept, (b"content-length", str(length).encode())]
