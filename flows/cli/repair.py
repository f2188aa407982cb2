"""The command that puts a workspace in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli import lazy
from flows.cli.bars import shown_progress
from flows.cli.options import AsJson, ConfigFile, Workspace, configured
from flows.cli.output import SOME_LACKING, print_json, print_line, print_table

if TYPE_CHECKING:
    from flows.repair import RepairReport


def repair(
    config_file: ConfigFile = None,
    workspace: Workspace = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read every volume, compare its checksum, and remove damaged ones.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Remove leftovers of killed processes, and rebuild the catalog from the stores.

    Files in use by running processes, and files lidcflow did not create, are left untouched.
    """
    config = configured(config_file, workspace)
    with shown_progress("looking"):
        report = lazy.repair(config, verify=verify)
    if as_json:
        print_json(report)
    else:
        print_repairs(report)
    if report.damaged:
        raise typer.Exit(SOME_LACKING)


def print_repairs(report: RepairReport) -> None:
    """Print what was found in each store, and what was done."""
    columns = ("store", "volumes", "damaged", "features removed", "leftovers removed", "in work", "unknown")
    rows = [
        (
            store.store,
            store.series,
            len(store.damaged),
            store.features_removed,
            store.leftovers_removed,
            store.in_work,
            store.unknown,
        )
        for store in report.stores
    ]
    print_table("Stores", columns, rows)
    for store in report.stores:
        for uid in store.damaged:
            done = "removed; preprocess its source again" if store.damaged_removed else "run with --verify to remove it"
            print_line(f"Damaged: series {uid}: {done}.")
    print_line(
        f"{report.catalog_changed} rows of the catalog set right, {report.scratch_removed} folders of dead workers and "
        f"{report.drafts_removed} unfinished snapshots removed. {report.notice}"
    )
