"""The command that brings series into the store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli import lazy
from flows.cli.bars import shown_progress
from flows.cli.options import AsJson, ConfigFile, DryRun, Source, Workspace, configured, output_file
from flows.cli.output import SOME_LACKING, print_json, print_line, print_table, write_csv
from flows.cli.session import flow_session
from flows.cli.source_lines import announce_download, print_surroundings, sentence_alone
from lidcflow.config import Config
from lidcflow.source.places import checked_source

if TYPE_CHECKING:
    from flows.preprocess import PreprocessReport

REFUSED_COLUMNS = ["series_instance_uid", "reason", "sentence"]


def preprocess(
    source: Source,
    config_file: ConfigFile = None,
    workspace: Workspace = None,
    as_json: AsJson = False,
    csv_file: Annotated[
        Path | None,
        typer.Option("--csv", callback=output_file, help="Write the refused series, and why, to this CSV file."),
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Write every usable series of a source to the store; volumes that are already there are reused."""
    config = configured(config_file, workspace)
    checked_source(source, config.access)
    announce_download(source)
    if dry_run:
        return _print_cost(source, config, as_json)
    with flow_session(config, "preprocess"):
        report = lazy.preprocess(source, config)
    if csv_file:
        write_csv(csv_file, [series.model_dump() for series in report.refused], REFUSED_COLUMNS)
    if as_json:
        print_json(report)
    else:
        _print_report(report)
    if report.refused or report.beside.may_hide_images:
        raise typer.Exit(SOME_LACKING)
    return None


def _print_cost(source: str, config: Config, as_json: bool) -> None:
    images = checked_source(source, config.access)
    with shown_progress("looking for files"):
        found = lazy.find_series(images, config)
    lazy.check_holds_ct(images, found)
    cost = lazy.preprocess_cost(found, config)
    if as_json:
        return print_json(cost)
    print_line(
        f"{cost.found} CT series: {cost.waiting} to preprocess with {cost.images} images, {cost.stored} in the store "
        f"already, {cost.refused} to be set aside (`lidcflow index` says why).\nAt most "
        f"{cost.bytes / 2**20:.0f} MiB in the store, about {cost.minutes:.1f} min on {cost.workers} processes; "
        f"{cost.rates}. Nothing was written but the cache of headers. {cost.notice}"
    )
    return None


def _print_report(report: PreprocessReport) -> None:
    if report.refused:
        rows = [(series.series_instance_uid, series.reason, sentence_alone(series)) for series in report.refused]
        print_table(f"{len(report.refused)} series set aside", ("series", "reason", "sentence"), rows)
    if report.flagged:
        flagged = [(one.series_instance_uid, ", ".join(one.flags), one.sentence) for one in report.flagged]
        print_table(f"{len(flagged)} series whose pixels look wrong", ("series", "flags", "what was found"), flagged)
    print_surroundings(report.beside, report.collections, report.others)
    print_line(
        f"{report.found} series: {report.done} preprocessed, {report.reused} reused unchanged{_read_again(report)}, "
        f"{len(report.refused)} set aside, in {report.seconds:.1f} s. {report.notice}"
    )


def _read_again(report: PreprocessReport) -> str:
    """Return how many reused series were read again, and why, which explains the time taken."""
    verified = f" ({report.verified} of them after their files had changed, by their pixels)" if report.verified else ""
    completed = f" ({report.completed} of them completed with nodule candidates)" if report.completed else ""
    return verified + completed
