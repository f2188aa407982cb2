"""The result of an evaluation, as JSON and for the page."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from lidcflow.evaluate.reader_marks import FeedbackFigures
from lidcflow.notice import STATEMENT
from lidcflow.stats.estimate import ClassCounts, Estimate, FindingFigures, Record

PAGE, DATA = "report.html", "evaluation.json"
"""Files of an evaluation, for people and for programs."""

SCHEMA_VERSION: Literal["lidcflow.evaluation/1"] = "lidcflow.evaluation/1"

BALANCED = (
    "Balanced figures weight slices so that the three classes count the same, and move the probabilities from the "
    "class shares of the training patients to equal shares; nothing is resampled."
)
INTERVALS = "95% percentile intervals by bootstrap over patients"
CALIBRATION = "The calibration error is of P(nodule), in 10 bins of equal numbers of slices."
SPARED = (
    "Slices spared: the share that nobody needs to look at when of each study the same number of slices is "
    "reviewed, the smallest that shows 95% of the nodules."
)
FROC = (
    "FROC: at every threshold neighbouring slices join into ranges as in a recommendation; a range finds the nodules "
    "in its peak slice, and is false when there is none."
)
FINDINGS = (
    "Findings, by the rule of LUNA16: a candidate finds a nodule if it is inside its consensus outline or nearer to "
    "its centre than its radius; nodules of 3 mm and more that three readers marked count, others are neither found "
    "nor missed; further candidates in one nodule do not count. CPM: the mean sensitivity at 1/8, 1/4, 1/2, 1, 2, 4 "
    "and 8 false positives a scan."
)


class Bin(Record):
    """A bin of the reliability diagram: mean P(nodule), share of slices with a nodule, slices."""

    called: float
    there: float
    slices: int


class SliceFigures(Record):
    """Figures of a set of slices at natural prevalence and class-balanced, with what the diagrams show."""

    slices: ClassCounts
    natural: dict[str, Estimate]
    balanced: dict[str, Estimate]
    confusion: tuple[tuple[int, int, int], ...] = ()
    reliability: tuple[Bin, ...] = ()


class Contestant(Record):
    """The release or a baseline, on the same patients.

    Parameters
    ----------
    key, title, note : str
        For programs, for people, and what it is.
    slices : SliceFigures, optional
        None where it ranks no slices.
    nodules : dict of str to Estimate
        Sensitivity at N slices, slices spared, FROC.
    curve : tuple of (false ranges a study, sensitivity)
        Its FROC curve.
    """

    key: str
    title: str
    note: str
    slices: SliceFigures | None
    nodules: dict[str, Estimate]
    curve: tuple[tuple[float, float], ...] = ()


class SectorFigures(Record):
    """Figures of the release in one sector; slices are numbered from 1, both ends included."""

    sector: int
    first_slice: int
    last_slice: int
    fallback: bool
    slices: SliceFigures


class Subgroup(Record):
    """Figures of the release in a subgroup of studies or nodules; `small` marks one with too few patients."""

    of: str
    name: str
    patients: int
    series: int | None
    nodules: int
    small: bool
    figures: dict[str, Estimate]


class ReleaseEvaluation(Record):
    """A release on the held-out patients of its own snapshot, beside the baselines; `findings` where it has some.

    With `folds`, a cross-validated release: each patient is answered for by the one fold that held the patient out.
    """

    schema_version: Literal["lidcflow.evaluation/1"] = SCHEMA_VERSION
    statement: Literal["Research use only, not for diagnosis."] = STATEMENT
    release: str
    version: int
    split: str
    created: datetime
    synthetic: bool
    sector_num: int
    backbone_id: str
    snapshot_digest: str
    threshold_nodule: float
    seed: int
    resamples: int
    patients: int
    series: int
    nodules: int
    slices_per_study: int
    folds: int = 0
    methods: tuple[str, ...] = (INTERVALS, BALANCED, CALIBRATION, SPARED, FROC, FINDINGS)
    contestants: tuple[Contestant, ...]
    operating_point: dict[str, Estimate]
    sectors: tuple[SectorFigures, ...]
    subgroups: tuple[Subgroup, ...]
    findings: FindingFigures | None = None
    feedback: FeedbackFigures | None = None

    @property
    def own(self) -> Contestant:
        """The release among the contestants."""
        return self.contestants[0]
