"""Commands that serve the schedules and tell how things stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from flows.cli.options import AsJson, ConfigFile, Workspace, configured
from flows.cli.output import NOTICE, console, print_json, print_line
from flows.cli.service_views import ServiceLines, print_finding, print_status

if TYPE_CHECKING:
    from flows.service.doctor import Finding

app = typer.Typer()


@app.command()
def up(config_file: ConfigFile = None, workspace: Workspace = None) -> None:
    """Serve everything: Prefect, MLflow, the reports, a worker and the scheduled preprocessing, training and inference.

    Ctrl-C stops it all. Research use only.
    """
    from flows.service.supervisor import ServiceFailed
    from flows.service.up import serve

    config = configured(config_file, workspace)
    try:
        with ServiceLines() as lines:
            serve(config, lines, lambda serving: lines.ready(serving, config))
    except ServiceFailed as failure:
        for line in failure.log_lines:
            console().print(f"  {line}", style="dim", markup=False, soft_wrap=True)
        raise


@app.command()
def status(config_file: ConfigFile = None, workspace: Workspace = None, as_json: AsJson = False) -> None:
    """Tell how the workspace stands: volumes, catalog, releases, last runs and reading, drift, disk."""
    from flows.service.status import status_of

    config = configured(config_file, workspace)
    with console().status("looking"):
        found = status_of(config)
    if as_json:
        print_json(found)
    else:
        print_status(found)


@app.command()
def doctor(config_file: ConfigFile = None, workspace: Workspace = None, as_json: AsJson = False) -> None:
    """Check this machine; exit code 1 when something would keep lidcflow from working."""
    from flows.service.checks import Level
    from flows.service.doctor import CHECKS, examine

    config = configured(config_file, workspace)
    findings: list[Finding] = []
    for name in CHECKS:
        with console().status(name):
            findings.append(examine(name, config))
        if not as_json:
            print_finding(findings[-1])
    if not as_json:
        print_line(NOTICE)
    else:
        print_json([finding.model_dump() for finding in findings])
    if any(finding.level is Level.FAIL for finding in findings):
        raise typer.Exit(1)
