"""Commands of the archive part: phantoms, the index, the store of volumes."""

import csv
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.options import AsJson, ConfigFile, Source, Workspace, configured
from flows.cli.output import NOTICE, print_json, print_line, print_table
from flows.cli.progress import shown_progress
from flows.cli.session import flow_session
from flows.cli.sources import announce, print_plan, print_surroundings

if TYPE_CHECKING:
    from flows.preprocess import PreprocessReport, RefusedSeries
    from lidcflow.series.find import Index, Verdict

SOME_REFUSED = 3
"""Exit code: done, with series set aside, or with files that may hold images and could not be read."""

INDEX_COLUMNS = [
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
REFUSED_COLUMNS = ["series_instance_uid", "reason", "sentence"]

app = typer.Typer()


@app.command()
def phantom(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write to.")],
    series: Annotated[int, typer.Option(min=1, max=1018, help="Series to make.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same bytes.")] = 0,
    max_slices: Annotated[int | None, typer.Option(min=8, help="Take scans of at most so many slices.")] = None,
    config_file: ConfigFile = None,
) -> None:
    """Make synthetic chest CT with the real geometry and readings of LIDC-IDRI."""
    from lidcflow.phantom.series import choose_scans

    config = configured(config_file, None)
    with shown_progress("choosing scans"):
        try:
            scans = choose_scans(series, seed, max_slices=max_slices)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        from flows.phantom import write_phantoms

        made = write_phantoms(scans, folder, seed=seed, workers=config.cluster.workers)
    print_line(f"{len(scans)} synthetic series in {folder}: {made} made, {len(scans) - made} there already. {NOTICE}")


@app.command()
def index(
    source: Source,
    config_file: ConfigFile = None,
    workspace: Workspace = None,
    as_json: AsJson = False,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write the list to this file too.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Read every header again, known or not.")] = False,
    every: Annotated[bool, typer.Option("--all", help="List also what is no CT: X-rays, plans, localizers.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Only say what idc:... would take; needs no network.")] = False,
) -> None:
    """List every CT series of a source with its verdict, and count the others by modality."""
    config = configured(config_file, workspace)
    from lidcflow.catalog.series import Catalog
    from lidcflow.source.places import checked_source
    from tasks.source import check_holds_ct, find_series

    if plan:
        return print_plan(source, as_json)
    images = checked_source(source, config.access)
    announce(source)
    with shown_progress("looking for files"):
        found = find_series(images, config, fresh=fresh)
    with Catalog(config.catalog) as catalog:
        catalog.record_verdicts(found)
    if not every:
        check_holds_ct(images, found)
    listed = list(found) if every else found.in_question
    rows = [_verdict_row(verdict) for verdict in listed]
    if csv_file:
        _write_csv(csv_file, [{**row, "flags": " ".join(row["flags"])} for row in rows], INDEX_COLUMNS)
    if as_json:
        beside, collections = asdict(found.beside), [asdict(collection) for collection in found.collections]
        print_json({"series": rows, "others": found.others, **beside, "collections": collections, "notice": NOTICE})
    else:
        _print_index(found, listed)
    return _exit(found.refused or found.beside.may_hide_images)


@app.command()
def preprocess(
    source: Source,
    config_file: ConfigFile = None,
    workspace: Workspace = None,
    as_json: AsJson = False,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write the series set aside to this file.")] = None,
) -> None:
    """Bring every usable series of a source into the store; what is there already is reused."""
    config = configured(config_file, workspace)
    from lidcflow.source.places import checked_source

    checked_source(source, config.access)
    announce(source)
    with flow_session(config):
        from flows.preprocess import preprocess as run

        report = run(source, config)
    if csv_file:
        _write_csv(csv_file, [series.model_dump() for series in report.refused], REFUSED_COLUMNS)
    if as_json:
        print_json(report)
    else:
        _print_report(report)
    _exit(report.refused or report.beside.may_hide_images)


def _verdict_row(verdict: "Verdict") -> dict[str, Any]:
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


def _write_csv(file: Path, rows: list[dict[str, Any]], columns: list[str]) -> None:
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _print_index(found: "Index", listed: "Sequence[Verdict]") -> None:
    columns = ("series", "verdict", "files", "slices", "what was found")
    rows = [
        (
            verdict.series_instance_uid,
            verdict.reason,
            verdict.n_files,
            verdict.series and len(verdict.series.slices),
            _alone(verdict),
        )
        for verdict in listed
    ]
    print_table(f"{len(listed)} series, {len(found.usable)} usable", columns, rows)
    print_surroundings(found.beside, found.collections, found.others)


def _print_report(report: "PreprocessReport") -> None:
    if report.refused:
        rows = [(series.series_instance_uid, series.reason, _alone(series)) for series in report.refused]
        print_table(f"{len(report.refused)} series set aside", ("series", "reason", "sentence"), rows)
    if report.flagged:
        flagged = [(one.series_instance_uid, ", ".join(one.flags), one.sentence) for one in report.flagged]
        print_table(f"{len(flagged)} series whose pixels look wrong", ("series", "flags", "what was found"), flagged)
    print_surroundings(report.beside, report.collections, report.others)
    print_line(
        f"{report.found} series: {report.done} preprocessed, {report.reused} reused unchanged{_verified(report)}, "
        f"{len(report.refused)} set aside, in {report.seconds:.1f} s. {report.notice}"
    )


def _verified(report: "PreprocessReport") -> str:
    """Return how many reused series were read again to verify their pixels, which explains the time taken."""
    return f" ({report.verified} of them after their files had changed, by their pixels)" if report.verified else ""


def _alone(named: "Verdict | RefusedSeries") -> str:
    """Return the sentence without the UID that stands in the column beside it."""
    return named.sentence.removeprefix(f"series {named.series_instance_uid}: ")


def _exit(something_is_lacking: Any) -> None:
    if something_is_lacking:
        raise typer.Exit(SOME_REFUSED)
