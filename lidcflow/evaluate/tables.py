"""Rows of the tables that the page and the terminal show."""

from __future__ import annotations

from collections.abc import Iterable

from lidcflow.evaluate.reader_marks import FeedbackFigures
from lidcflow.evaluate.record import Contestant, ReleaseEvaluation, SliceFigures, Subgroup
from lidcflow.evaluate.review import REVIEWED
from lidcflow.stats.estimate import Estimate, FindingFigures
from lidcflow.stats.froc import FALSE_MARKS, froc_key

SLICE_NAMES = {
    "auroc_nodule": "AUROC, nodule or not",
    "auprc_nodule": "AUPRC, nodule or not",
    "auroc_malignant": "AUROC, malignant or not",
    "auprc_malignant": "AUPRC, malignant or not",
    "accuracy": "accuracy",
    "precision_non_nodule": "precision, non-nodule",
    "recall_non_nodule": "recall, non-nodule",
    "precision_benign": "precision, benign",
    "recall_benign": "recall, benign",
    "precision_malignant": "precision, malignant",
    "recall_malignant": "recall, malignant",
    "brier_nodule": "Brier score, nodule or not",
    "ece_nodule": "expected calibration error",
}
REVIEW_NAMES = {
    **{f"sensitivity_at_{n}": f"nodules seen in {n} slice{'s' * (n > 1)}" for n in REVIEWED},
    "spared_at_95": "slices spared at 95% sensitivity",
}
FROC_NAMES = {
    froc_key(rate): f"at {froc_key(rate).removeprefix('froc_at_')} false range{'s' * (rate > 1)} a study"
    for rate in FALSE_MARKS
}
FINDING_NAMES = {
    "candidate_sensitivity": "nodules that any candidate is in",
    "sensitivity": "nodules found at the detector's threshold",
    "false_findings": "false findings a scan at that threshold",
    **{
        froc_key(
            rate
        ): f"nodules found at {froc_key(rate).removeprefix('froc_at_')} false finding{'s' * (rate > 1)} a scan"
        for rate in FALSE_MARKS
    },
    "cpm": "CPM, the mean of these",
}
OPERATING_NAMES = {
    "nodules_shown": "nodules that a range shows",
    "false_ranges": "false ranges a study",
    "slices_in_ranges": "slices in ranges",
}

FEEDBACK_HEAD = (
    "readings",
    "marked / all",
    "ranges right",
    "wrong",
    "divided",
    "share right",
    "slices added",
    "runs",
    "in readings",
    "named within ranges",
)

Row = tuple[str, ...]


def interval(one: Estimate | None) -> str:
    """Format a figure with its interval, a dash where there is none."""
    return "-" if one is None else str(one)


def slice_rows(contestants: Iterable[Contestant], prevalence: str) -> list[Row]:
    """Lay out figures of slices: a row for each, a column for each contestant that ranks slices."""
    found = [getattr(one.slices, prevalence) for one in contestants if one.slices]
    return [(name, *(interval(of.get(key)) for of in found)) for key, name in SLICE_NAMES.items()]


def nodule_rows(contestants: Iterable[Contestant], names: dict[str, str]) -> list[Row]:
    """Lay out figures of nodules: a row for each that anybody has, a column for each contestant."""
    found = [one.nodules for one in contestants]
    return [
        (name, *(interval(of.get(key)) for of in found))
        for key, name in names.items()
        if any(key in of for of in found)
    ]


def finding_rows(found: FindingFigures) -> list[Row]:
    """Lay out the figures of findings: name, figure."""
    return [(name, interval(found.figures.get(key))) for key, name in FINDING_NAMES.items()]


def sector_figure_rows(evaluation: ReleaseEvaluation, prevalence: str) -> list[Row]:
    """Lay out the figures of sectors: a row for each figure, a column for each sector."""
    found = [getattr(one.slices, prevalence) for one in evaluation.sectors]
    return [(name, *(interval(of.get(key)) for of in found)) for key, name in SLICE_NAMES.items()]


def counts(figures: SliceFigures) -> str:
    """Describe the slices of each class.

    Examples
    --------
    >>> from lidcflow.release.outcome import ClassCounts
    >>> counts(SliceFigures(slices=ClassCounts(non_nodule=5, benign=2, malignant=1), natural={}, balanced={}))
    '5/2/1'
    """
    return f"{figures.slices.non_nodule}/{figures.slices.benign}/{figures.slices.malignant}"


def subgroup_row(one: Subgroup, keys: Iterable[str]) -> Row:
    """Lay out a subgroup: what, patients, series, nodules, figures."""
    name = f"{one.name} (few)" if one.small else one.name
    series = "-" if one.series is None else str(one.series)
    return (
        one.of,
        name,
        str(one.patients),
        series,
        str(one.nodules),
        *(interval(one.figures.get(key)) for key in keys),
    )


def feedback_rows(found: FeedbackFigures) -> list[Row]:
    """Lay out readers' feedback: a row for each verdict."""
    return [
        (
            one.verdict,
            f"{one.marked} / {one.readings}",
            str(one.right),
            str(one.wrong),
            str(one.divided),
            interval(one.share_right),
            str(one.missed_slices),
            str(one.missed_runs),
            str(one.missed_readings),
            str(one.confirmed_slices),
        )
        for one in found.groups
    ]
