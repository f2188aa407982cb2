"""The command that lists the series of a source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli import lazy
from flows.cli.bars import shown_progress
from flows.cli.options import AsJson, ConfigFile, Source, Workspace, configured, output_file
from flows.cli.output import NOTICE, SOME_LACKING, print_json, print_table, write_csv
from flows.cli.source_lines import announce_download, print_plan, print_surroundings, sentence_alone
from lidcflow.source.places import checked_source

if TYPE_CHECKING:
    from lidcflow.series.verdicts import Index, Verdict

COLUMNS = [
    "series_instance_uid",
    "study_instance_uid",
    "patient_key",
    "reason",
    "sentence",
    "modality",
    "n_files",
    "set_aside",
    "flags",
    "n_slices",
    "slice_spacing_mm",
    "synthetic",
]


def index(
    source: Source,
    config_file: ConfigFile = None,
    workspace: Workspace = None,
    as_json: AsJson = False,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", callback=output_file, help="Also write the list to this CSV file.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Read every header again instead of using the header cache.")
    ] = False,
    every: Annotated[
        bool, typer.Option("--all", help="Also list series that are not CT: X-rays, plans, localizers.")
    ] = False,
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Show size, licence and file count of an idc: collection without downloading."),
    ] = False,
) -> None:
    """List every CT series of a source with its eligibility status, and count other series by modality."""
    config = configured(config_file, workspace)
    if plan:
        return print_plan(source, as_json)
    images = checked_source(source, config.access)
    announce_download(source)
    with shown_progress("looking for files"):
        found = lazy.find_series(images, config, fresh=fresh)
    with lazy.Catalog(config.catalog) as catalog:
        catalog.record_verdicts(found)
    if not every:
        lazy.check_holds_ct(images, found)
    listed = list(found) if every else found.in_question
    rows = [_verdict_row(verdict) for verdict in listed]
    if csv_file:
        write_csv(csv_file, [{**row, "flags": " ".join(row["flags"])} for row in rows], COLUMNS)
    if as_json:
        beside, collections = asdict(found.beside), [asdict(collection) for collection in found.collections]
        print_json({"series": rows, "others": found.others, **beside, "collections": collections, "notice": NOTICE})
    else:
        _print_index(found, listed)
    if found.refused or found.beside.may_hide_images:
        raise typer.Exit(SOME_LACKING)
    return None


def _verdict_row(verdict: Verdict) -> dict[str, Any]:
    """Flatten a verdict; paths stay out of it."""
    series = verdict.series
    return {
        "series_instance_uid": verdict.series_instance_uid,
        "study_instance_uid": series and series.study_instance_uid,
        "patient_key": series and series.patient_key,
        "reason": str(verdict.reason),
        "sentence": verdict.sentence,
        "modality": verdict.kind or "CT",
        "n_files": verdict.n_files,
        "set_aside": verdict.set_aside,
        "flags": list(verdict.flags),
        "n_slices": series and len(series.slices),
        "slice_spacing_mm": series and series.slice_spacing_mm,
        "synthetic": series and series.synthetic,
    }


def _print_index(found: Index, listed: Sequence[Verdict]) -> None:
    columns = ("series", "verdict", "files", "slices", "what was found")
    rows = [
        (
            verdict.series_instance_uid,
            verdict.reason,
            verdict.n_files,
            verdict.series and len(verdict.series.slices),
            sentence_alone(verdict),
        )
        for verdict in listed
    ]
    print_table(f"{len(listed)} series, {len(found.usable)} usable", columns, rows)
    print_surroundings(found.beside, found.collections, found.others)
