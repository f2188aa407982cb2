"""The command that measures a release."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from flows.cli import lazy
from flows.cli.evaluate_cubes import Cubes, print_cubes
from flows.cli.options import AsJson, ConfigFile, Workspace, configured, output_file, output_folder
from flows.cli.output import NOTICE, print_json, print_line, print_table, span, write_csv
from flows.cli.session import flow_session
from lidcflow.config import Config
from lidcflow.learn.backend import require_backend_for
from tasks.tracking.place import Tracking

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flows.evaluate import EvaluateReport
    from lidcflow.evaluate.reader_marks import FeedbackFigures
    from lidcflow.evaluate.record import ReleaseEvaluation
    from lidcflow.nodules.detector import Detector
    from lidcflow.nodules.systems import FindingSystems
    from lidcflow.release.pins import NodulePin
    from lidcflow.stats.estimate import Estimate

Release = Annotated[str, typer.Argument(metavar="RELEASE", help="Alias or version, as `lidcflow releases` lists it.")]
Split = Annotated[Literal["test", "validation"], typer.Option("--split", help="Held-out patients to evaluate on.")]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", callback=output_folder, help="Output folder for the report; default: reports/ in the workspace."
    ),
]

Feedback = Annotated[
    bool, typer.Option("--feedback", help="Also summarise radiologists' marks on the release's reports.")
]

Patches = Annotated[
    Path | None,
    typer.Option(
        "--patches",
        metavar="FILE",
        help="Instead, score a file of labelled patches with the nodule detector of the release.",
    ),
]

NoduleSlices = Annotated[
    Path | None,
    typer.Option(
        "--nodule-slices",
        metavar="FOLDER",
        help="Instead, score nodules with malignancy ratings, one slice each, with the malignancy model in force.",
    ),
]

CsvFile = Annotated[
    Path | None,
    typer.Option("--csv", callback=output_file, help="Also write every figure with its 95% interval to this CSV file."),
]

FIGURE_COLUMNS = ["contestant", "of", "figure", "value", "low", "high"]

FROC_SHOWN = ("froc_at_1/4", "froc_at_1")


def evaluate(
    release: Release = "champion",
    split: Split = "test",
    out: Out = None,
    feedback: Feedback = False,
    patches: Patches = None,
    cubes: Cubes = None,
    nodule_slices: NoduleSlices = None,
    config_file: ConfigFile = None,
    workspace: Workspace = None,
    as_json: AsJson = False,
    csv_file: CsvFile = None,
) -> None:
    """Measure a release on the held-out patients of its own snapshot, beside baselines, and write a report.

    With --patches, score a file of labelled patches with the nodule detector of the release instead; with --cubes, a
    file of outlined nodules with its segmenter; with --nodule-slices, nodules with readers' malignancy ratings with its
    malignancy model. Those of the package answer where no release was trained, or where the release pins no other.
    """
    if csv_file and (patches or cubes or nodule_slices):
        raise typer.BadParameter("is for the evaluation of a release; use --json", param_hint="--csv")
    _require_one({"--patches": patches, "--cubes": cubes, "--nodule-slices": nodule_slices})
    config = configured(config_file, workspace)
    if nodule_slices is not None:
        return _evaluate_nodule_slices(nodule_slices, systems_of_release(release, config), as_json)
    if patches is not None:
        return _evaluate_patches(patches, detector_of_release(release, config), as_json)
    if cubes is not None:
        return print_cubes(cubes, systems_of_release(release, config), as_json)
    lazy.load_release(Tracking.of(config), release)
    require_backend_for(config)
    with flow_session(config, "evaluate"):
        report = lazy.evaluate(config, release, split, out, feedback)
    if csv_file:
        write_csv(csv_file, figure_rows(report.evaluation), FIGURE_COLUMNS)
    if as_json:
        print_json(report)
    else:
        print_evaluation(report)
    return None


def figure_rows(found: ReleaseEvaluation) -> list[dict[str, Any]]:
    """List every figure of an evaluation: of the release and of each baseline, then of each sector and of findings."""
    rows = []
    for one in found.contestants:
        rows += _rows(one.key, "nodules", one.nodules)
        if one.slices:
            rows += _rows(one.key, "slices", one.slices.natural)
            rows += _rows(one.key, "slices, balanced", one.slices.balanced)
    for sector in found.sectors:
        rows += _rows(found.own.key, f"sector {sector.sector}", sector.slices.natural)
        rows += _rows(found.own.key, f"sector {sector.sector}, balanced", sector.slices.balanced)
    rows += _rows(found.own.key, "at the threshold", found.operating_point)
    return rows + _rows(found.own.key, "findings", found.findings.figures if found.findings else {})


def _rows(contestant: str, of: str, figures: Mapping[str, Estimate]) -> list[dict[str, Any]]:
    return [
        {"contestant": contestant, "of": of, "figure": name, "value": one.value, "low": one.low, "high": one.high}
        for name, one in figures.items()
    ]


def _require_one(sets: dict[str, Path | None]) -> None:
    if len(given := [name for name, place in sets.items() if place is not None]) > 1:
        raise typer.BadParameter(f"{' and '.join(given)} are different evaluations; run one after the other")


def detector_of_release(release: str, config: Config) -> Detector:
    """Return the detector that a release pins; that of the package where it pins none, or where there is no release.

    Raises
    ------
    ReleaseError
        If there are releases but not this one, or its detector is neither in the registry nor in the package.
    """
    pin = _pin_of(release, config)
    return lazy.detector_of(pin, Tracking.of(config)) if pin else lazy.embedded_detector()


def systems_of_release(release: str, config: Config) -> FindingSystems:
    """Return the systems that say what findings are by a release; those of the package as for `detector_of_release`.

    Raises
    ------
    ReleaseError
        If there are releases but not this one, or one of its systems is neither in the registry nor in the package.
    """
    pin = _pin_of(release, config)
    return lazy.systems_of(pin, Tracking.of(config)) if pin else lazy.finding_systems()


def _pin_of(release: str, config: Config) -> NodulePin | None:
    infer = config.infer.model_copy(update={"release": release})
    return lazy.release_in_force(config.model_copy(update={"infer": infer})).nodules


def _evaluate_patches(file: Path, detector: Detector, as_json: bool) -> None:
    found = lazy.evaluate_patches(file, detector)
    if as_json:
        print_json({**found.model_dump(), "notice": NOTICE})
        return
    figures, left_out = found.figures, found.train_left_out
    beside = f" {left_out} patches of the split train were left out." if left_out else ""
    print_line(
        f"{figures.patches} patches of {found.file}, {figures.nodules} of them with a nodule, from {figures.series} "
        f"series, by the nodule detector {found.detector_sha256[:12]}: AUROC {figures.auroc}, sensitivity at a "
        f"specificity of {figures.specificity:.0%} {figures.sensitivity} (95% intervals over series).{beside} {NOTICE}"
    )


def _evaluate_nodule_slices(folder: Path, systems: FindingSystems, as_json: bool) -> None:
    found = lazy.evaluate_nodule_slices(folder, systems.malignancy)
    if as_json:
        print_json({**found.model_dump(), "notice": NOTICE})
        return
    columns = ("figure", *(f"{one.design} ({one.benign}, {one.malignant})" for one in found.figures))
    title = f"{found.nodules} nodules of {found.patients} patients in {found.folder}, 95% intervals over patients"
    print_table(title, columns, [(name, *values) for name, values in found.rows])
    for sentence in found.notes:
        print_line(sentence)
    print_line(NOTICE)


def print_evaluation(report: EvaluateReport) -> None:
    """Print the release beside the baselines, its sectors, and where the page is."""
    found = report.evaluation
    patients = "patients, out of fold" if found.folds else f"{found.split} patients"
    title = f"{found.release} version {found.version} on {found.patients} {patients}, 95% intervals"
    columns = ("figure", *(one.title for one in found.contestants))
    print_table(title, columns, _contestant_rows(found))
    columns = ("sector", "slices", "none/benign/malignant", "AUROC nodule", "balanced", "AUROC malignant", "ECE")
    print_table("Sectors", columns, _sector_rows(found))
    print_line(_operating(found))
    if found.findings:
        title = f"Findings in {found.findings.series} series with {found.findings.nodules} nodules that count"
        print_table(title, ("figure", "release"), lazy.tables.finding_rows(found.findings))
    if found.feedback:
        print_feedback(found.feedback)
    synthetic = " All images are synthetic: these figures say nothing about patients." if found.synthetic else ""
    print_line(f"{report.page}\nMeasured in {report.seconds:.0f} s.{synthetic} {NOTICE}")


def print_feedback(found: FeedbackFigures) -> None:
    """Print the summary of readers' marks, with its limits."""
    tables = lazy.tables
    readers = f"{found.readers} reader{'' if found.readers == 1 else 's'}"
    print_table(f"What {readers} said of its reports", tables.FEEDBACK_HEAD, tables.feedback_rows(found))
    for sentence in found.notes:
        print_line(sentence)


def _contestant_rows(found: ReleaseEvaluation) -> list[tuple[Any, ...]]:
    tables = lazy.tables
    slices = ("auroc_nodule", "auprc_nodule", "auroc_malignant", "auprc_malignant", "accuracy", "brier_nodule")
    natural = [one.slices.natural if one.slices else {} for one in found.contestants]
    balanced = [one.slices.balanced if one.slices else {} for one in found.contestants]
    nodules = [one.nodules for one in found.contestants]
    rows = [(tables.SLICE_NAMES[key], *(tables.interval(of.get(key)) for of in natural)) for key in slices]
    rows += [
        (f"{tables.SLICE_NAMES[key]}, balanced", *(tables.interval(of.get(key)) for of in balanced))
        for key in slices[:1]
    ]
    named = {key: name for key, name in tables.REVIEW_NAMES.items() if any(key in of for of in nodules)}
    named |= {
        key: f"nodules found {name}" for key, name in tables.FROC_NAMES.items() if key in ("froc_at_1/4", "froc_at_1")
    }
    return rows + [(name, *(tables.interval(of.get(key)) for of in nodules)) for key, name in named.items()]


def _sector_rows(found: ReleaseEvaluation) -> list[tuple[Any, ...]]:
    return [
        (
            one.sector,
            span(one.first_slice, one.last_slice),
            lazy.tables.counts(one.slices),
            one.slices.natural["auroc_nodule"],
            one.slices.balanced["auroc_nodule"],
            one.slices.natural["auroc_malignant"],
            one.slices.natural["ece_nodule"],
        )
        for one in found.sectors
    ]


def _operating(found: ReleaseEvaluation) -> str:
    at = found.operating_point
    return (
        f"At the release's threshold {found.threshold_nodule:.3f}: its ranges show {at['nodules_shown']} of the "
        f"nodules, with {at['false_ranges']} false ranges a study and {at['slices_in_ranges']} of the slices."
    )
