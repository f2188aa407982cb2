"""The command that looks for drift."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli import lazy
from flows.cli.options import AsJson, ConfigFile, Workspace
from flows.cli.output import NOTICE, print_json, print_line, print_table
from flows.cli.session import flow_session
from lidcflow.config.file import load_config
from lidcflow.drift.tables import COLUMNS, drift_rows
from tasks.tracking.place import Tracking

if TYPE_CHECKING:
    from flows.drift import DriftReport

Release = Annotated[str | None, typer.Option("--release", help="Alias or version; infer.release, by default champion.")]
Days = Annotated[float | None, typer.Option("--days", help="How far back readings count; by default drift.days.")]
Out = Annotated[Path | None, typer.Option("--out", help="Folder of page and figures; by default the workspace's.")]


def drift(
    release: Release = None,
    days: Days = None,
    out: Out = None,
    config_file: ConfigFile = None,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Compare what was read lately with what the release was trained on; drift is told, and is no failure."""
    config = load_config(config_file, workspace=workspace, drift={"days": days} if days else None)
    lazy.load_release(Tracking.of(config), release or config.infer.release)
    with flow_session(config):
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
