"""Prefect's server behind the checks of `flows.service.same_origin`.

``python -P -m flows.service.prefect_app --host HOST --port PORT [--name NAME ...]`` is what `lidcflow up` starts, in
place of ``prefect server start``; `temporary` is the application of the server that a command starts for itself.
"""

from __future__ import annotations

import gc

import uvicorn
from prefect.server.api.server import create_app
from prefect.settings import get_current_settings

from flows.proxies import LOOPBACK
from flows.service.prefect_transactions import lock_at_begin
from flows.service.same_origin import SameOrigin, own_names, served_address


def temporary() -> SameOrigin:
    """Return the application of a command's own server, which listens on loopback."""
    lock_at_begin()
    app = SameOrigin(create_app(), own_names(LOOPBACK[0]))
    gc.freeze()  # the command waits for the end of its server, which would collect garbage for a second
    return app


def main() -> None:
    """Serve until a signal, with the settings that ``prefect server start`` takes from the environment."""
    lock_at_begin()
    given = served_address()
    settings = get_current_settings().server
    uvicorn.run(
        SameOrigin(create_app(final=True), own_names(given.host, given.name)),
        host=given.host,
        port=given.port,
        timeout_keep_alive=settings.api.keepalive_timeout,
        ws_ping_interval=settings.api.websocket_ping_interval,
        ws_ping_timeout=settings.api.websocket_ping_timeout,
        log_level=settings.logging_level.lower(),
    )


if __name__ == "__main__":
    main()
