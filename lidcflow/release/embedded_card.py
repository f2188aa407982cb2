"""The card of the embedded release in Markdown: purpose, data, figures, limits, and what it pins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lidcflow.notice import STATEMENT
from lidcflow.release.card import table
from lidcflow.release.record import NodulePin, ReleaseRecord

_LIMITS = (
    "The detector was trained on few patients; other scanners, kernels and hospitals may differ.",
    "It has no sector models: between nodule candidates, slices are ranked by the height in the chest alone.",
    "It does not estimate P(malignant) of a finding.",
    "A nodule is what radiologists marked; what they all overlooked counts as none.",
)


def embedded_card(record: ReleaseRecord, pin: NodulePin, detector: Mapping[str, Any]) -> str:
    """Describe the embedded release for people.

    Parameters
    ----------
    record : ReleaseRecord
        The release.
    pin : NodulePin
        Its detector.
    detector : mapping
        The card of the detector, see docs/detector.md.

    Returns
    -------
    str
        Markdown.
    """
    sections = {
        "What it is for": _purpose(record),
        "Data of the detector": _data(detector),
        "Figures of the detector on patches, with 95% intervals over series": _figures(detector),
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


def _data(detector: Mapping[str, Any]) -> str:
    lines = [*detector.get("data", ()), *detector.get("attribution", ())]
    facts = [f"{key.capitalize()}: {detector[key]}." for key in ("split", "licence") if key in detector]
    return "\n\n".join(["\n".join(f"- {line}" for line in lines), *facts] if lines else facts)


def _figures(detector: Mapping[str, Any]) -> str:
    rows = list(_figure_rows(detector.get("patches", {})))
    return table(["patches", "number", "of nodules", "AUROC", "sensitivity"], rows) if rows else ""


def _figure_rows(patches: Mapping[str, Any]) -> Iterator[list[str]]:
    for name, of in patches.items():
        figures = (_with_interval(of[key]) for key in ("auroc", "sensitivity"))
        yield [name, str(of["patches"]), str(of["nodules"]), *figures]


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
        f"Detector `{pin.sha256[:12]}`. It is used where no release was trained, and where it is named:\n\n"
        "    lidcflow infer SRC --release embedded"
    )
