"""What a source is and takes: the plan of the public archive, the terms of its collections, downloads."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from flows.cli.options import AsJson, ConfigFile, Source, configured
from flows.cli.output import NOTICE, print_json, print_line
from flows.cli.progress import shown_progress
from lidcflow.dicom.records import Collection
from lidcflow.series.verdicts import Beside, listed_kinds

SOME_LACKING = 3
"""Exit code: done, without some of the files."""

app = typer.Typer()


@app.command()
def download(
    source: Source,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to keep the files in.")],
    config_file: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Keep the files of idc:... or s3://...; files that are there already are not fetched again."""
    config = configured(config_file, None)
    from lidcflow.source.places import parse_source
    from tasks.source import fetch_files, plan_files

    announce(source)
    with shown_progress("looking for files"):
        plan = plan_files(parse_source(source, config.access))
        done = fetch_files(plan, folder, config.access)
    report = {**asdict(done), "unsafe_names": plan.unsafe, "incomplete": plan.incomplete}
    if as_json:
        print_json({**report, "collections": [asdict(one) for one in plan.collections], "notice": NOTICE})
    else:
        for uid, sentence in plan.incomplete.items():
            print_line(f"series {uid}: {sentence}")
        print_surroundings(Beside(), plan.collections)
        print_line(
            f"{done.fetched:,} files fetched ({done.fetched_bytes / 1e9:,.2f} GB), {done.kept:,} there already, "
            f"{done.failed:,} failed, {plan.unsafe:,} left out for their names, in {folder}. {NOTICE}"
        )
    if done.failed or plan.unsafe or plan.incomplete:
        raise typer.Exit(SOME_LACKING)


def announce(source: str) -> None:
    """Say on standard error what a name of the public archive takes, before it is taken."""
    for collection in _collections(source):
        Console(stderr=True).print(collection.line, highlight=False, markup=False, soft_wrap=True)


def print_plan(source: str, as_json: bool) -> None:
    """Print what a name of the public archive takes; only its index is read."""
    collections = _collections(source)
    if not collections:
        raise typer.BadParameter(f"--plan is for the public archive, as idc:lidc_idri, got {source}")
    if as_json:
        print_json({"collections": [asdict(one) for one in collections], "notice": NOTICE})
    else:
        print_surroundings(Beside(), collections)


def print_surroundings(
    beside: Beside, collections: Sequence[Collection], others: Mapping[str, int] | None = None
) -> None:
    """Print what lay beside the CT, and the terms of each collection."""
    lines = [others_line(others or {}), beside.line, *(collection.line for collection in collections)]
    for line in filter(None, lines):
        print_line(line)


def others_line(others: Mapping[str, int]) -> str:
    """Return what people read of series that are passed over; empty when there are none.

    Examples
    --------
    >>> others_line({"DX": 290, "SEG": 12})
    'Beside CT: 290 DX, 12 SEG series, passed over; `lidcflow index SRC --all` lists them.'
    """
    if not others:
        return ""
    return f"Beside CT: {listed_kinds(others)}, passed over; `lidcflow index SRC --all` lists them."


def _collections(source: str) -> tuple[Collection, ...]:
    from lidcflow.source.places import parse_source

    return parse_source(source).collections()
