"""Serve the reports until a signal: ``python -m flows.reports.server``, its configuration in a variable."""

from __future__ import annotations

import contextlib
import os

import uvicorn

from flows.environment import WHOLE_CONFIG
from flows.reports.app import make_app
from flows.reports.protocol import ReportsProtocol
from lidcflow.config import Config

STOP_WITHIN_S = 3


def serve_reports(config: Config) -> None:
    """Listen on ``serve.host`` and ``serve.reports_port``; Ctrl-C or SIGTERM ends it."""
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(settings(config)).run()


def settings(config: Config, port: int | None = None) -> uvicorn.Config:
    """Return how the reports are served; on another port than the configuration's, if one is given."""
    return uvicorn.Config(
        make_app(config),
        host=config.serve.host,
        port=config.serve.reports_port if port is None else port,
        http=ReportsProtocol,
        lifespan="off",
        ws="none",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_level="warning",
        timeout_graceful_shutdown=STOP_WITHIN_S,
    )


if __name__ == "__main__":
    serve_reports(Config.model_validate_json(os.environ[WHOLE_CONFIG]))
