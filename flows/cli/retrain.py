"""The command that trains again if enough has changed."""

from typing import Annotated, Any

import typer

from flows.cli import lazy
from flows.cli.options import AsJson, ConfigFile, Workspace, configured
from flows.cli.output import NOTICE, print_json, print_line
from flows.cli.session import flow_session


def retrain(
    force: Annotated[bool, typer.Option("--force", help="Train even if the check finds no reason to.")] = False,
    config_file: ConfigFile = None,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Train, evaluate and apply the gate if enough has changed since the newest release, and report why or why not."""
    config = configured(config_file, workspace)
    report: Any
    with flow_session(config, "retrain"):
        report = lazy.retrain(config, force)
    if as_json:
        print_json(report)
    else:
        print_line(report.why)
        print_line(f"{report.page or ''}\n{NOTICE}".lstrip())
