"""Results of training the systems of findings, for people: a table of those trained, sentences for others."""

from __future__ import annotations

from lidcflow.release.pins import SystemFacts
from lidcflow.release.record import ReleaseRecord

HEAD = ("system", "model", "figure", "validation", "embedded", "test", "embedded on test", "pinned")

SEGMENTER = "segmenter"


def system_rows(record: ReleaseRecord) -> list[tuple[str, ...]]:
    """Return a row for each system that was trained, with the columns `HEAD`.

    The figure is mean Dice for a segmenter, and for a malignancy system the AUROC of P(malignant).
    """
    return [_row(one) for one in record.systems if one.model]


def _row(one: SystemFacts) -> tuple[str, ...]:
    name = "dice" if one.kind == SEGMENTER else "auroc"
    figures = [str(of.get(key, "-")) for of in (one.validation, one.test) for key in (name, f"{name}_embedded")]
    model = f"{one.model.name} version {one.model.version}" if one.model else "-"
    return one.kind, model, "Dice" if one.kind == SEGMENTER else "AUROC", *figures, "yes" if one.pinned else "no"


def system_sentences(record: ReleaseRecord) -> list[str]:
    """Return what gives outlines and P(malignant), and why, in a sentence each; none for a release without findings."""
    if record.nodules is None or not record.systems:
        return []
    outlines = [one for one in record.systems if one.kind == SEGMENTER]
    malignancy = [one for one in record.systems if one.kind != SEGMENTER]
    return [_sentence("Outlines", "segmenter", outlines), _sentence("P(malignant)", "malignancy model", malignancy)]


def _sentence(what: str, embedded: str, systems: list[SystemFacts]) -> str:
    pinned = next((one for one in systems if one.pinned and one.model), None)
    if pinned and pinned.model:
        return f"{what} by {pinned.model.name} version {pinned.model.version}: {pinned.reason}."
    reasons = dict.fromkeys(one.reason for one in systems)
    return f"{what} by the embedded {embedded}: {'; '.join(reasons)}."
