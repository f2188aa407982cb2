"""The command that trains a release."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli import lazy
from flows.cli.options import AsJson, ConfigFile, DryRun, Workspace, configured, wrong_usage
from flows.cli.output import NOTICE, print_json, print_line, print_table, span
from flows.cli.session import flow_session
from lidcflow.config import LIDC, Config
from lidcflow.learn.backend import require_backend_for
from lidcflow.release.card import gate_sentence
from lidcflow.release.choices import with_choices
from lidcflow.release.gate_rows import check_rows
from lidcflow.release.pins import EMBEDDED
from lidcflow.release.system_rows import HEAD as SYSTEM_HEAD
from lidcflow.release.system_rows import system_rows, system_sentences
from lidcflow.release.tables import FOLDS_HEAD, fold_rows

if TYPE_CHECKING:
    from flows.train import TrainReport
    from lidcflow.release.record import ReleaseRecord
    from lidcflow.stats.estimate import FindingFigures, MarkFacts

Sectors = Annotated[
    int | None,
    typer.Option(
        "--sectors",
        min=1,
        max=512,
        help="Number of sectors of the chest; overrides train.sector_num, and `lidcflow retrain` keeps it until "
        "train.sector_num is changed.",
    ),
]
FromSnapshot = Annotated[
    str | None,
    typer.Option(
        "--snapshot",
        metavar="ID",
        help=(
            "Train from exactly this snapshot, with its settings: an ID as `lidcflow snapshots` lists it, or a file."
        ),
    ),
]
Folds = Annotated[
    int | None,
    typer.Option(
        "--folds",
        min=3,
        max=20,
        help="Number of folds of a cross-validation by patient, whose average is released; overrides train.folds, and "
        "`lidcflow retrain` keeps it until train.folds is changed.",
    ),
]
Again = Annotated[bool, typer.Option("--again", help="Train even if a release with identical inputs exists.")]


def train(
    sectors: Sectors = None,
    folds: Folds = None,
    snapshot: FromSnapshot = None,
    again: Again = False,
    dry_run: DryRun = False,
    config_file: ConfigFile = None,
    workspace: Workspace = None,
    as_json: AsJson = False,
) -> None:
    """Train one model per sector on the labelled volumes of the store, and release them as one version."""
    if sectors and snapshot:
        raise typer.BadParameter("a snapshot says itself how many sectors there are", param_hint="--sectors")
    if folds and snapshot:
        raise typer.BadParameter("a snapshot says itself how many folds there are", param_hint="--folds")
    config = configured(config_file, workspace)
    asked = {"train.sector_num": sectors, "train.folds": folds}
    choices = {name: value for name, value in asked.items() if value}
    with wrong_usage("--folds" if folds else "--sectors"):
        chosen = with_choices(config, choices)
    if dry_run:
        if snapshot:
            raise typer.BadParameter(
                "counts what is stored now; `lidcflow snapshots` lists snapshots", param_hint="--dry-run"
            )
        return _print_cost(chosen, as_json)
    require_backend_for(chosen)
    with flow_session(config, "train", ahead=lambda: lazy.begin_training_workers(config.cluster)):
        report = lazy.train(config, snapshot, again, choices)
    if as_json:
        print_json(report)
    else:
        _print_training(report)
    return None


def _print_cost(config: Config, as_json: bool) -> None:
    cost = lazy.train_cost(config)
    if as_json:
        return print_json(cost)
    title = "Test patients by fold" if config.train.folds else "Patients by split"
    print_table(title, list(cost.patients_by_split), [list(cost.patients_by_split.values())])
    slices = cost.slices
    minutes = "an unknown time" if cost.minutes is None else f"about {cost.minutes:.1f} min"
    print_line(
        f"{cost.series} series of {cost.patients} patients, {cost.left_out} more without labels, {cost.wrong_pixels} "
        f"whose pixels look wrong; {slices.non_nodule} slices without a nodule, {slices.benign} benign, "
        f"{slices.malignant} malignant{_marked(cost.marks)}.\n"
        f"{cost.models} models to train; features of {cost.features} series to compute, {cost.bytes / 2**20:.0f} MiB; "
        f"{minutes} on {cost.workers} processes, without detector, segmenter and "
        f"malignancy systems of one's own; {cost.rates}. Nothing was written. {cost.notice}"
    )
    return None


def _marked(facts: MarkFacts | None) -> str:
    if facts is None:
        return ""
    return f"; of these series, {facts.series} are labelled by {facts.marks} marks of readers on reports"


def _print_training(report: TrainReport) -> None:
    remark = "reused, nothing has changed since" if report.reused else "just trained"
    print_release(report.release, champion=report.champion, remark=remark)
    why = "" if report.release.labels.sources == (LIDC,) else " (`lidcflow labels` says why)"
    left_out = f", {report.left_out} more without labels{why}" if report.left_out else ""
    left_out += f", {report.wrong_pixels} left out because their pixels look wrong" if report.wrong_pixels else ""
    snapshot = report.release.snapshot_id[:12]
    if report.release.detector_reason:
        print_line(f"Findings by {_detector_of(report.release)}: {report.release.detector_reason}.")
    for sentence in system_sentences(report.release):
        print_line(sentence)
    marked = _marked(report.release.marks)
    print_line(
        f"Trained on {report.series} series of {report.patients} patients{left_out}{marked}, snapshot {snapshot}."
    )


def _detector_of(record: ReleaseRecord) -> str:
    """Name the detector of a release for people."""
    pin = record.nodules
    if pin is None or pin.detector == EMBEDDED:
        return "the embedded detector"
    return f"{pin.detector} version {pin.version}"


def print_release(record: ReleaseRecord, *, champion: bool, remark: str = "") -> None:
    """Print the sector models of a release, its figures on the test patients, and how it stands."""
    columns = ("sector", "slices", "trained on", "benign", "malignant", "AUROC validation", "AUROC test", "model")
    title = f"{record.name} version {record.version}{remark and f': {remark}'}"
    print_table(title, columns, _sector_rows(record))
    if record.folds:
        print_table("Folds of the cross-validation", FOLDS_HEAD, fold_rows(record))
    print_line(_on_test(record))
    print_line(_threshold(record))
    if found := record.findings.get("test"):
        print_line(_findings(found))
    if rows := system_rows(record):
        print_table("Systems that say what findings are, 95% intervals over patients", SYSTEM_HEAD, rows)
    print_gate(record)
    print_line(_standing(record, champion))


def print_gate(record: ReleaseRecord) -> None:
    """Print what each rule of the gate measured, and why the release passed or not."""
    if record.gate.checks:
        columns = ("rule", "patients", "measured", "outcome")
        print_table("Gate, with 95% intervals by paired bootstrap", columns, check_rows(record.gate.checks))
    print_line(gate_sentence(record))


def _sector_rows(record: ReleaseRecord) -> list[tuple[Any, ...]]:
    return [
        (
            pin.sector,
            span(pin.first_slice, pin.last_slice),
            pin.training.total,
            pin.training.benign,
            pin.training.malignant,
            pin.validation["auroc_nodule"],
            pin.test["auroc_nodule"],
            f"all sectors: {pin.reason}" if pin.fallback else f"{pin.model_name} version {pin.version}",
        )
        for pin in record.sectors
    ]


def _on_test(record: ReleaseRecord) -> str:
    test = record.metrics["test"]
    ours, prior, even = test.release, test.sector_prior, test.uniform
    whom = f"Out of fold, on all {test.patients} patients" if record.folds else f"On {test.patients} test patients"
    accuracy = f"accuracy {ours['accuracy']}, " if record.folds else ""
    return (
        f"{whom} at natural prevalence, 95% intervals in brackets: {accuracy}slice AUROC "
        f"{ours['auroc_nodule']}, sector prior {prior['auroc_nodule']}; nodules found in 5 slices "
        f"{ours['sensitivity_at_5']}, even steps {even['sensitivity_at_5']}; in 10 slices "
        f"{ours['sensitivity_at_10']}, even steps {even['sensitivity_at_10']}."
    )


def _threshold(record: ReleaseRecord) -> str:
    found, target = record.threshold, f"chosen for {record.train.target_sensitivity:.0%} of validation's nodule slices"
    if found is None:
        return f"Threshold P(nodule) {record.threshold_nodule:.3f}, {target}."
    return (
        f"Threshold P(nodule) {found.value:.3f}, {target}. Sensitivity there {found.validation.sensitivity} with "
        f"{found.validation.slices_above} of all slices above it; on test {found.test.sensitivity} with "
        f"{found.test.slices_above}."
    )


def _findings(found: FindingFigures) -> str:
    figures = found.figures
    return (
        f"Findings on test, {found.nodules} nodules that count in {found.series} series: {figures['sensitivity']} "
        f"found with {figures['false_findings']} false ones a scan; at 1 a scan {figures['froc_at_1']}, at 4 "
        f"{figures['froc_at_4']}; CPM {figures['cpm']}."
    )


def _standing(record: ReleaseRecord, champion: bool) -> str:
    if champion:
        return f"It is the champion: `lidcflow infer SRC` reads with it. {NOTICE}"
    by_force = "" if record.gate.passed else " --force --reason ..."
    return f"It is not the champion; `lidcflow promote {record.version}{by_force}` would put it in force. {NOTICE}"
