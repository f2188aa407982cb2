"""The command that shows the reports in a browser."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli import lazy
from flows.cli.options import ConfigFile, Workspace, configured
from flows.cli.output import NOTICE, console, print_line
from flows.proxies import LOOPBACK
from flows.service.servers import addresses, check_port

Port = Annotated[
    int | None, typer.Option("--port", min=1, max=65535, help="Port to listen on; default: serve.reports_port.")
]


def reports(port: Port = None, config_file: ConfigFile = None, workspace: Workspace = None) -> None:
    """Serve the workspace's reports in a browser: an index, each study as a stack of slices, radiologists' marks.

    Ctrl-C stops it. Research use only.
    """
    config = configured(config_file, workspace)
    if port:
        config = config.model_copy(update={"serve": config.serve.model_copy(update={"reports_port": port})})
    check_port(config.serve.host, config.serve.reports_port, "reports server", "serve.reports_port")
    print_line(f"Reports at {addresses(config).reports}; Ctrl-C stops it. {NOTICE}")
    if config.serve.host not in LOOPBACK:
        console().print(
            "[yellow]anyone who reaches this machine can read and mark the reports:[/] there is no password"
        )
    lazy.server.serve_reports(config)
