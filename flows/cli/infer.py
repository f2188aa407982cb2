"""The command that recommends slices to look at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli import lazy
from flows.cli.direct import infer_directly
from flows.cli.options import AsJson, ConfigFile, Source, Workspace, configured, configured_with, output_folder
from flows.cli.output import NOTICE, SOME_LACKING, print_json, print_line, print_table, span
from flows.cli.session import flow_session
from flows.cli.source_lines import others_line
from lidcflow.config import Config
from lidcflow.report.wording import cubic_mm, join_words, size
from lidcflow.source.places import checked_source

if TYPE_CHECKING:
    from flows.infer_report import InferReport
    from lidcflow.report.told import Told
    from tasks.series_result import RecommendedFinding, SeriesResult

Release = Annotated[
    str | None,
    typer.Option(
        "--release",
        help=(
            "Alias or version, or embedded for the release that ships with lidcflow; default: infer.release, which is "
            "champion unless set. Until a release is trained, the embedded one stands in for the champion."
        ),
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", callback=output_folder, help="Output folder for the reports; default: reports/ in the workspace."
    ),
]
Documents = Annotated[
    Path | None,
    typer.Option(
        "--documents",
        callback=output_folder,
        help=(
            "Also write DICOM documents (key objects and a structured report) to this folder; they contain "
            "the patient's identity."
        ),
    ),
]

EMBEDDED_LINE = (
    "This release ships with lidcflow: nothing was trained in this workspace for it. `lidcflow releases embedded` "
    "shows its card; `lidcflow train` makes a release from your own data."
)


def infer(
    source: Source,
    release: Release = None,
    out: Out = None,
    documents: Documents = None,
    config_file: ConfigFile = None,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Recommend slices of every CT series of a source, and write a page for each series."""
    config = configured(config_file, workspace)
    if release:
        config = configured_with(config, "--release", infer__release=release)
    if documents:
        config = configured_with(config, "--documents", infer__documents=documents)
    images = checked_source(source, config.access)
    lazy.release_in_force(config)  # an error for a missing one comes before anything starts
    report = infer_directly(images, config, out) or _by_flow(source, config, out)
    if as_json:
        print_json(report)
    else:
        print_results(report)
    if report.refused or report.undocumented or report.mixed:
        raise typer.Exit(SOME_LACKING)


def _by_flow(source: str, config: Config, out: Path | None) -> InferReport:
    with flow_session(config, "infer"):
        report: InferReport = lazy.infer(source, config, out)
        return report


def print_results(report: InferReport) -> None:
    """Print the findings and recommended ranges of each series after its warnings, and where its page is."""
    columns = ("slices", "source images", "z in mm", "P(nodule)")
    for reading in report.readings:
        print_line(f"\nStudy {reading.study_instance_uid or 'unknown'}\nSeries {reading.series_instance_uid}")
        for line in (*_first_lines(reading), *_finding_lines(reading)):
            print_line(line)
        if reading.ranges:
            print_table("Slices to look at", columns, _range_rows(reading))
        else:
            for line in _no_range_lines(reading):
                print_line(line)
        if reading.slices_left_out:
            print_line(f"Left out to keep to infer.slices: {reading.slices_left_out} more.")
        print_line(str(reading.page))
        if beside := reading.undocumented or reading.documents:
            print_line(f"DICOM documents: {beside}")
    if beside_ct := others_line(report.others):
        print_line(f"\n{beside_ct}")
    for sentence in report.mixed:
        print_line(f"\nNot read: {sentence}")
    print_line(f"\n{_in_short(report)}")
    if report.embedded_release:
        print_line(EMBEDDED_LINE)


def _first_lines(reading: SeriesResult) -> Iterator[str]:
    """Describe what comes before the answer."""
    for notice in reading.told.notices:
        yield f"{notice}."
    for warning in reading.warnings:
        yield f"Warning: {warning}"
    if reading.told.doubt:
        yield reading.told.doubt


def _no_range_lines(reading: SeriesResult) -> Iterator[str]:
    """Describe why there is no range, and what that does not say."""
    yield reading.sentence or "Nothing above the threshold; the page shows the five highest slices."
    if reading.told.caveat:
        yield f"{reading.told.caveat}."


def _finding_lines(reading: SeriesResult) -> Iterator[str]:
    """Describe where to look, the most likely finding first."""
    if reading.findings:
        count = (
            "1 finding" if len(reading.findings) == 1 else f"{len(reading.findings)} findings, the most likely first"
        )
        yield f"Look at {count}:"
    for found in reading.findings:
        image = "an image without a number" if found.image is None else f"image {found.image}"
        place = f"{image}, row {found.row:.0f}, column {found.column:.0f}, slice {found.slice_number}"
        odds = f"P(nodule) {reading.told.chance(found.probability)}{_malignant(found, reading.told)}"
        yield f"{found.rank}. {place}: {_size(found)}, {odds}"
    if systems := sorted({found.malignancy for found in reading.findings if found.malignancy}):
        yield f"P(malignant) holds if the finding is a nodule; it is by the {join_words(systems)}."


def _size(found: RecommendedFinding) -> str:
    volume = f" ({cubic_mm(found.volume_mm3)})" if found.volume_mm3 else ""
    why = f" (a circle: {found.circle})" if found.circle else ""
    return f"{size(found)}{volume}{why}".replace("\xa0", " ")


def _malignant(found: RecommendedFinding, told: Told) -> str:
    if found.malignant is None:
        return ""
    unlike = f" (unlike its training in {join_words(found.outside)})" if found.outside else ""
    return f", P(malignant) {told.chance(found.malignant)}{unlike}"


def _range_rows(reading: SeriesResult) -> list[tuple[Any, ...]]:
    return [
        (
            span(found.first_slice, found.last_slice),
            span(found.first_image, found.last_image),
            f"{found.z_top_mm:.1f} to {found.z_bottom_mm:.1f}",
            reading.told.chance(found.nodule_at_peak),
        )
        for found in reading.ranges
    ]


def _in_short(report: InferReport) -> str:
    kinds = [f"{len(report.readings)} series read with {report.release}"]
    kinds += [f"{report.reused} of them unchanged and reused"] if report.reused else []
    kinds += [f"{report.refused} not evaluated"] if report.refused else []
    kinds += [f"{report.undocumented} without the DICOM documents asked for"] if report.undocumented else []
    kinds += [f"{report.kept_out} not read because they were erased here"] if report.kept_out else []
    kinds += [f"{len(report.mixed)} not read because synthetic and real images share a UID"] if report.mixed else []
    return f"{', '.join(kinds)}. {NOTICE}"
