"""The tables of a release's card and of its pages in the registry, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lidcflow.release.gate_rows import check_rows
from lidcflow.release.outcome import DataFacts, Gate, Threshold
from lidcflow.release.pins import SectorPin
from lidcflow.release.record import ReleaseRecord
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

FOLDS_HEAD = ("fold", "test patients", "series", "AUROC validation", "AUROC test", "accuracy", "log loss")


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


def folds_table(record: ReleaseRecord) -> str:
    """Lay out the folds: test patients and figures of slices."""
    return table(FOLDS_HEAD, fold_rows(record))


def fold_rows(record: ReleaseRecord) -> list[list[str]]:
    """List the folds under `FOLDS_HEAD`."""
    return [
        [
            str(one.fold),
            str(one.patients),
            str(one.series),
            *(_of(figures, "auroc_nodule") for figures in (one.validation, one.test)),
            _of(one.test, "accuracy"),
            _of(one.test, "log_loss"),
        ]
        for one in record.folds
    ]


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
    """Lay out the effect of the threshold on validation, where it was chosen, and on test."""
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
