"""The command that keeps the files of a source."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from flows.cli import lazy
from flows.cli.bars import shown_progress
from flows.cli.options import AsJson, ConfigFile, Source, configured, output_folder, wrong_usage
from flows.cli.output import NOTICE, SOME_LACKING, print_json, print_line
from flows.cli.source_lines import announce_download, print_surroundings
from lidcflow.series.verdicts import OtherFiles
from lidcflow.source.places import ArchiveSource, BucketSource, parse_source


def download(
    source: Source,
    folder: Annotated[Path, typer.Argument(metavar="DIR", callback=output_folder, help="Folder to save the files in.")],
    config_file: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Save the DICOM files of idc:... or s3://...; files that are already there are not downloaded again."""
    config = configured(config_file, None)
    with wrong_usage("SRC"):
        place = parse_source(source, config.access)
    if not isinstance(place, ArchiveSource | BucketSource):
        raise typer.BadParameter("must be s3://bucket/prefix or idc:name to be fetched", param_hint="SRC")
    announce_download(source)
    with shown_progress("looking for files"):
        plan = lazy.plan_files(place)
        done = lazy.fetch_files(plan, folder, config.access)
    report = {**asdict(done), "unsafe_names": plan.unsafe, "incomplete": plan.incomplete}
    if as_json:
        print_json({**report, "collections": [asdict(one) for one in plan.collections], "notice": NOTICE})
    else:
        for uid, sentence in plan.incomplete.items():
            print_line(f"series {uid}: {sentence}")
        print_surroundings(OtherFiles(), plan.collections)
        print_line(
            f"{done.fetched:,} files fetched ({done.fetched_bytes / 1e9:,.2f} GB), {done.kept:,} there already, "
            f"{done.failed:,} failed, {plan.unsafe:,} left out for their names, in {folder}. {NOTICE}"
        )
    if done.failed or plan.unsafe or plan.incomplete:
        raise typer.Exit(SOME_LACKING)
