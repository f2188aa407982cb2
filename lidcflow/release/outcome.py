"""Results of a training: the gate's verdict, the threshold, and counts of the data."""

from __future__ import annotations

from lidcflow.stats.estimate import ClassCounts, Estimate, Record


class GateCheck(Record):
    """One rule of the gate with its result; `passed` is None if there were too few patients to judge.

    Parameters
    ----------
    rule : str
        For people: what is measured and what it must be.
    figure : str
        For programs: ``auroc``, ``log_loss``, ``calibration_error``, ``sector_auroc``, ``findings``, ``cpm``,
        ``malignancy``, ``dice``, ``comparable``.
    against : str
        What it is compared with, such as ``version 3``; empty for a floor.
    sector : int, optional
        For a rule about one sector.
    split : str
        Whose patients it was measured on.
    patients : int, optional
        Of a floor, patients with a nodule among the slices that it is about.
    value : Estimate
        Of a comparison, the release's figure minus the other's, by paired bootstrap over patients; of log loss as a
        share of the other's.
    limit : float, optional
        What `value` is held against.
    remark : str
        Why it was not judged, or why nothing could be measured.
    """

    rule: str
    figure: str
    against: str = ""
    sector: int | None = None
    split: str = "validation"
    patients: int | None = None
    value: Estimate = Estimate(value=None)
    limit: float | None = None
    passed: bool | None
    remark: str = ""


class Gate(Record):
    """Whether a release may become champion by itself, and why."""

    passed: bool
    reason: str
    compared_with: str
    checks: tuple[GateCheck, ...] = ()


class OperatingPoint(Record):
    """Effect of a threshold: share of the nodule slices that reach it, and of all slices."""

    sensitivity: Estimate
    slices_above: Estimate


class Threshold(Record):
    """The threshold of P(nodule), chosen on validation for a target; the test patients had no say."""

    value: float
    target_sensitivity: float
    validation: OperatingPoint
    test: OperatingPoint


class DataFacts(Record):
    """Training and evaluation data of a release, in counts of series unless stated otherwise.

    Parameters
    ----------
    patients, series : dict of str to int
        By split.
    slices : dict of str to ClassCounts
        By split.
    manufacturers, kernels, contrast : dict of str to int
        The commonest first; rare ones are counted together.
    slice_thickness_mm : three floats, optional
        Least, median and greatest, where headers give any.
    """

    patients: dict[str, int]
    series: dict[str, int]
    slices: dict[str, ClassCounts]
    manufacturers: dict[str, int]
    kernels: dict[str, int]
    contrast: dict[str, int]
    slice_thickness_mm: tuple[float, float, float] | None
