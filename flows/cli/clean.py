"""The command that deletes what the configuration keeps no longer."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from flows.cli import lazy
from flows.cli.bars import shown_progress
from flows.cli.options import AsJson, ConfigFile, Workspace, configured
from flows.cli.output import print_json, print_line


def clean(
    config_file: ConfigFile = None,
    workspace: Workspace = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be deleted, and delete nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete what is older than \\[retention] allows: inference volumes, reports, long logs. Never MLflow's models.

    Series without an answer, and series that radiologists marked, are kept. `lidcflow up` runs it every night.
    """
    config = configured(config_file, workspace)
    with shown_progress("looking"):
        done = lazy.clean_up(config, logging.getLogger("lidcflow"), dry_run=dry_run)
    if as_json:
        print_json(done)
        return
    print_line(
        f"{done.volumes} volumes of the inbox store and {done.reports} reports, {done.freed_bytes / 2**20:.1f} MiB, "
        f"{'would be' if dry_run else 'were'} deleted. {done.notice}"
    )
