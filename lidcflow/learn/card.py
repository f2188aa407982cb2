"""The card of a release: a sentence and two tables in Markdown, as the registry shows them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lidcflow.learn.release import Estimate, ReleaseRecord, SectorPin
from lidcflow.read.recommendation import STATEMENT

NAMES = {
    "auroc_nodule": "slice AUROC, nodule or not",
    "auroc_malignant": "slice AUROC, malignant or not",
    "log_loss": "log loss",
    "brier": "Brier score",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "sensitivity_at_5": "nodules found in 5 slices",
    "sensitivity_at_10": "nodules found in 10 slices",
}


def release_card(record: ReleaseRecord) -> str:
    """Describe a release for people.

    Parameters
    ----------
    record : ReleaseRecord
        The release.

    Returns
    -------
    str
        Markdown.
    """
    return "\n\n".join(
        [
            f"{_sentence(record)} {STATEMENT}",
            f"Gate {'passed' if record.gate.passed else 'refused'}: {record.gate.reason}.",
            "### Figures, with 95% intervals over patients",
            _figures_table(record),
            "### Sectors",
            _sectors_table(record),
            _pins(record),
        ]
    )


def _sentence(record: ReleaseRecord) -> str:
    validation, test = record.metrics["validation"], record.metrics["test"]
    data = "synthetic CT" if record.synthetic else "CT"
    sectors = "1 sector" if record.sector_num == 1 else f"{record.sector_num} sectors"
    tuned = f" finetuned from {record.train.first_block()}" if record.train.mode == "finetune" else ""
    return (
        f"Recommends slices of chest CT with one model for each of {sectors} on {record.backbone.kind} features{tuned}"
        f"; trained on {data}, measured on {validation.patients} validation and {test.patients} test patients at "
        f"natural prevalence, threshold P(nodule) {record.threshold_nodule:.3f}."
    )


def _figures_table(record: ReleaseRecord) -> str:
    validation, test = record.metrics["validation"], record.metrics["test"]
    rows = [
        [
            name,
            _of(validation.release, key),
            _of(test.release, key),
            _of(test.sector_prior, key),
            _of(test.uniform, key),
        ]
        for key, name in NAMES.items()
    ]
    return _table(["figure", "validation", "test", "test, sector prior", "test, even steps"], rows)


def _sectors_table(record: ReleaseRecord) -> str:
    head = ["sector", "slices", "trained on (none/benign/malignant)", "AUROC validation", "AUROC test", "model"]
    return _table(head, [_sector_row(pin) for pin in record.sectors])


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


def _pins(record: ReleaseRecord) -> str:
    return (
        f"Backbone `{record.backbone.id}`, preprocessing `{record.preprocess_digest[:12]}`, "
        f"snapshot `{record.snapshot_digest[:12]}`, lidcflow {record.lidcflow_version}."
    )


def _of(figures: dict[str, Estimate], key: str) -> str:
    return str(figures[key]) if key in figures else "-"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
