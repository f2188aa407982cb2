"""The command that lists the snapshots that trainings were made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flows.cli import lazy
from flows.cli.options import AsJson, ConfigFile, Workspace, configured
from flows.cli.output import print_json, print_line, print_table
from tasks.tracking.place import Tracking

if TYPE_CHECKING:
    from tasks.snapshot_files import ListedSnapshot


def snapshots(config_file: ConfigFile = None, workspace: Workspace = None, as_json: AsJson = False) -> None:
    """List the snapshots (frozen training sets), newest first; `lidcflow train --snapshot ID` trains from one."""
    config = configured(config_file, workspace)
    listed = lazy.list_snapshots(config.workspace, Tracking.of(config))
    if as_json:
        print_json([one.model_dump(mode="json") for one in listed])
    elif listed:
        classes = ("non-nodule", "benign", "malignant")
        columns = ("id", "created (UTC)", "series", "patients", *classes, "sectors", "backbone", "releases")
        print_table(f"{len(listed)} snapshots", columns, map(_row, listed))
    else:
        print_line("There is no snapshot yet; `lidcflow train` takes one.")


def _row(one: ListedSnapshot) -> tuple[Any, ...]:
    slices, settings = one.slices, one.settings
    return (
        one.id,
        f"{settings.created:%Y-%m-%d %H:%M}",
        one.series,
        one.patients,
        slices.non_nodule,
        slices.benign,
        slices.malignant,
        settings.train.sector_num,
        settings.train.backbone,
        ", ".join(map(str, one.releases)) or None,
    )
