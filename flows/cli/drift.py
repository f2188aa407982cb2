"""The command that looks for drift."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli import lazy
from flows.cli.options import AsJson, ConfigFile, Workspace, configured, configured_with, output_folder
from flows.cli.output import NOTICE, print_json, print_line, print_table
from flows.cli.session import flow_session
from lidcflow.drift.tables import COLUMNS, drift_rows
from tasks.tracking.place import Tracking

if TYPE_CHECKING:
    from flows.drift import DriftReport

Release = Annotated[
    str | None,
    typer.Option("--release", help="Alias or version; default: infer.release, which is champion unless set."),
]
Days = Annotated[float | None, typer.Option("--days", help="Days to look back; default: drift.days.")]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", callback=output_folder, help="Output folder for the report; default: reports/ in the workspace."
    ),
]


def drift(
    release: Release = None,
    days: Days = None,
    out: Out = None,
    config_file: ConfigFile = None,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Compare recent studies with the release's training data; drift is reported, and the exit code stays 0."""
    config = configured(config_file, workspace)
    if days is not None:
        config = configured_with(config, "--days", drift__days=days)
    lazy.load_release(Tracking.of(config), release or config.infer.release)
    with flow_session(config, "drift"):
        report = lazy.drift(config, release, out)
    if as_json:
        print_json(report)
    else:
        print_drift(report)


def print_drift(report: DriftReport) -> None:
    """Print the quantities, those that drifted first, and where the page is."""
    check = report.check
    print_table(f"{check.release} version {check.version}: {check.verdict}", COLUMNS, drift_rows(check))
    synthetic = " Synthetic images are among those compared." if check.synthetic else ""
    print_line(f"{check.sentence}{synthetic}\n{report.page}\n{NOTICE}")
