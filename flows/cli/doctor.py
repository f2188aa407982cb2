"""The command that checks this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from flows.cli import lazy
from flows.cli.options import AsJson, ConfigFile, Workspace, configured
from flows.cli.output import NOTICE, console, print_json, print_line

if TYPE_CHECKING:
    from flows.service.doctor import Diagnosis

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


Full = Annotated[bool, typer.Option("--full", help="Also start Keras, which takes seconds.")]


def doctor(
    full: Full = False, config_file: ConfigFile = None, workspace: Workspace = None, as_json: AsJson = False
) -> None:
    """Check this machine; the exit code is 1 if something would keep lidcflow from working."""
    config = configured(config_file, workspace)
    findings: list[Diagnosis] = []
    for name in lazy.doctor.CHECKS:
        with console().status(name):
            findings.append(lazy.doctor.examine(name, config, full=full))
        if not as_json:
            print_finding(findings[-1])
    if not as_json:
        print_line(NOTICE)
    else:
        print_json([finding.model_dump() for finding in findings])
    if any(finding.level is lazy.Level.FAIL for finding in findings):
        raise typer.Exit(1)


def print_finding(finding: Diagnosis) -> None:
    """Print one check of the doctor, and its remedy below."""
    line = Text.assemble((f"{finding.level:5}", COLOURS[finding.level]), f"{finding.check:18}", finding.found)
    if finding.way_out:
        line.append(f"\n{'':23}-> {finding.way_out}", style="bold")
    console().print(line, soft_wrap=True)
