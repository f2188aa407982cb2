"""The card of the embedded release in Markdown: purpose, data, figures, limits, and what it pins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lidcflow.notice import STATEMENT
from lidcflow.release.pins import NodulePin
from lidcflow.release.record import ReleaseRecord
from lidcflow.release.tables import table

_LIMITS = (
    "The detector was trained on few patients; other scanners, kernels and hospitals may differ.",
    "It has no sector models: between nodule candidates, slices are ranked by the height in the chest alone.",
    "P(malignant) of a finding follows radiologists' ratings, not pathology, and holds if the finding is a nodule.",
    "Outlines and P(malignant) come from models of nodules alone: of a finding that is none they mean nothing.",
    "A nodule is what radiologists marked; what they all overlooked counts as none.",
)


Card = Mapping[str, Any]


def embedded_card(record: ReleaseRecord, pin: NodulePin, detector: Card, segmenter: Card, malignancy: Card) -> str:
    """Describe the embedded release for people.

    Parameters
    ----------
    record : ReleaseRecord
        The release.
    pin : NodulePin
        Its detector.
    detector, segmenter, malignancy : mapping
        The cards of its models, see docs/detector.md, docs/segmenter.md and docs/malignancy.md.

    Returns
    -------
    str
        Markdown.
    """
    sections = {
        "What it is for": _purpose(record),
        "Data of the detector": _data(detector),
        "Figures of the detector on patches, with 95% intervals over series": _figures(detector),
        "Data of the segmenter": _data(segmenter),
        "Figures of the segmenter on cubes kept apart, with 95% intervals over scans": _outline_figures(segmenter),
        "Data of the malignancy model": _data(malignancy),
        "Figures of the malignancy model, cross-validated by patient, with 95% intervals": _malignancy_figures(
            malignancy
        ),
        "Thresholds": _thresholds(record, pin),
        "Limits": "\n".join(f"- {limit}" for limit in _LIMITS),
        "What it pins, and how to use it": _pins(pin),
    }
    head = f"# {record.name} version {record.version}\n\nThe release that ships with lidcflow. {STATEMENT}"
    return "\n\n".join([head, *(f"## {title}\n\n{text}" for title, text in sections.items() if text)]) + "\n"


def _purpose(record: ReleaseRecord) -> str:
    return (
        "It finds nodule candidates of a chest CT at the resolution of the series, and calls those findings that its "
        f"detector rates highest. The {record.preprocess.slices} slices of the volume are ranked by the candidates in "
        "them and by how often nodules of LIDC-IDRI occur at that height of the chest. It is not for diagnosis, and "
        "it is not a medical device."
    )


def _data(detector: Card) -> str:
    lines = [*detector.get("data", ()), *detector.get("attribution", ())]
    facts = [f"{key.capitalize()}: {detector[key]}." for key in ("split", "licence") if key in detector]
    return "\n\n".join(["\n".join(f"- {line}" for line in lines), *facts] if lines else facts)


def _figures(detector: Card) -> str:
    rows = list(_figure_rows(detector.get("patches", {})))
    return table(["patches", "number", "of nodules", "AUROC", "sensitivity"], rows) if rows else ""


def _figure_rows(patches: Mapping[str, Any]) -> Iterator[list[str]]:
    for name, of in patches.items():
        figures = (_with_interval(of[key]) for key in ("auroc", "sensitivity"))
        yield [name, str(of["patches"]), str(of["nodules"]), *figures]


def _outline_figures(segmenter: Card) -> str:
    ways = segmenter.get("kept_apart", {}).get("ways", {})
    rows = [[name, *(_with_interval(of[key]) for key in ("dice", "long_axis_error_mm"))] for name, of in ways.items()]
    return table(["outline", "Dice", "error of the long axis, mm"], rows) if rows else ""


def _malignancy_figures(malignancy: Card) -> str:
    rows = [
        [
            one["design"],
            f"{one['benign']}, {one['malignant']}",
            _with_interval(one["auroc"]),
            _with_interval(one["size_auroc"]["area_diameter_mm"]),
        ]
        for one in malignancy.get("figures", ())
    ]
    return table(["design", "benign, malignant", "AUROC", "AUROC of size by readers' outlines"], rows) if rows else ""


def _with_interval(estimate: Mapping[str, float | None]) -> str:
    value, low, high = (estimate.get(key) for key in ("value", "low", "high"))
    if value is None:
        return "-"
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} ({low:.3f} to {high:.3f})"


def _thresholds(record: ReleaseRecord, pin: NodulePin) -> str:
    return (
        f"A candidate is a finding from P(nodule) {pin.threshold:.3f}; a slice is recommended from P(nodule) "
        f"{record.threshold_nodule:.3f}, or if it contains a finding."
    )


def _pins(pin: NodulePin) -> str:
    return (
        f"Detector `{pin.sha256[:12]}`, segmenter `{pin.segmenter[:12]}`, malignancy model `{pin.malignancy[:12]}`. "
        "They are used where no release was trained, and where this one is named:\n\n"
        "    lidcflow infer SRC --release embedded"
    )
