"""The rules of the gate: each measures a release and returns whether it holds, with the row that people read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lidcflow.config import GateConfig
from lidcflow.nodules.finding_figures import FLOOR_RATE, FindingDraws
from lidcflow.release.outcome import GateCheck
from lidcflow.stats.bootstrap import Floats, estimate
from lidcflow.stats.estimate import Estimate
from lidcflow.stats.paired import Sample, auroc_draws, calibration_error_draws, log_loss_draws

PRIOR = "sector prior"


@dataclass(frozen=True, eq=False)
class Champion:
    """A release that is or was in force, as the gate sees it.

    Attributes
    ----------
    version : int
    probabilities : (studies, slices, 3) array, optional
        Its own for the validation studies of the new release; None where it can't be asked about them.
    why_not : str
        Why it can't.
    findings : FindingDraws, optional
        Its findings in the validation studies; None for a release without.
    """

    version: int
    probabilities: Floats | None
    why_not: str = ""
    findings: FindingDraws | None = None

    @property
    def name(self) -> str:
        """Its name for people."""
        return f"version {self.version}"


@dataclass(frozen=True, eq=False)
class Candidate:
    """A new release before the gate.

    Attributes
    ----------
    validation, test : Sample
        What is true of the held-out studies.
    on_validation, on_test : (studies, slices, 3) arrays
        The release's calibrated probabilities.
    prior : (slices, 3) array, or one for each validation study
        From `lidcflow.stats.held_out.sector_prior`.
    sectors : dict of int to range
        Sectors with a model of their own, slices from 0.
    findings : FindingDraws, optional
        Its findings in the validation studies, where they have readings with outlines; None for a release without.
    """

    validation: Sample
    test: Sample
    on_validation: Floats
    on_test: Floats
    prior: Floats
    sectors: dict[int, range]
    findings: FindingDraws | None = None

    def inside(self, sector: int) -> slice:
        """Return the slices of a sector."""
        return slice(self.sectors[sector].start, self.sectors[sector].stop)

    @property
    def prior_on_validation(self) -> Floats:
        """Predictions of the sector prior for the validation studies."""
        return np.broadcast_to(self.prior, self.on_validation.shape)


def better_than_prior(candidate: Candidate) -> list[GateCheck]:
    """Check that a release ranks slices better than their sector alone does, and puts better probabilities on them."""
    auroc, loss = _differences(candidate, candidate.prior_on_validation)
    higher, lower = auroc.value is not None and auroc.value > 0, loss.value is not None and loss.value < 0
    rules = {
        "auroc": ("slice AUROC must exceed the sector prior's", auroc, higher),
        "log_loss": ("log loss must be below the sector prior's", loss, lower),
    }
    return [
        GateCheck(rule=rule, figure=figure, against=PRIOR, value=value, limit=0.0, passed=passed)
        for figure, (rule, value, passed) in rules.items()
    ]


def no_worse(candidate: Candidate, champion: Champion, settings: GateConfig) -> list[GateCheck]:
    """Check that a release is as good as a champion in the sample, or shown to be worse by less than a margin."""
    name = champion.name
    if champion.probabilities is None:
        rule = f"must be comparable with {name}"
        return [GateCheck(rule=rule, figure="comparable", against=name, passed=False, remark=champion.why_not)]
    auroc, loss = _differences(candidate, champion.probabilities)
    lower, higher = settings.auroc_margin, settings.log_loss_margin
    ranks = auroc.value is not None and (auroc.value >= 0 or (auroc.low is not None and auroc.low >= -lower))
    fits = loss.value is not None and (loss.value <= 0 or (loss.high is not None and loss.high <= higher))
    auroc_rule = f"slice AUROC must be no lower than {name}'s, or shown to be lower by at most {lower:g}"
    loss_rule = f"log loss must be no higher than {name}'s, or shown to be higher by at most {higher:.1%}"
    return [
        GateCheck(rule=auroc_rule, figure="auroc", against=name, value=auroc, limit=-lower, passed=ranks),
        GateCheck(rule=loss_rule, figure="log_loss", against=name, value=loss, limit=higher, passed=fits),
    ]


def calibrated(candidate: Candidate, settings: GateConfig) -> GateCheck:
    """Check that the calibration error is not clearly above its limit, on patients that calibration never saw."""
    limit = settings.calibration_error
    error = estimate(calibration_error_draws(candidate.on_test, candidate.test))
    check = GateCheck(
        rule=f"calibration error of P(nodule) must not be clearly above {limit:g}",
        figure="calibration_error",
        split="test",
        patients=candidate.test.nodule_patients(),
        value=error,
        limit=limit,
        passed=not _beyond(error, low=None, high=limit),
    )
    return _if_enough(check, settings.patients)


def sector_floors(candidate: Candidate, settings: GateConfig) -> list[GateCheck]:
    """Check that no sector's own model ranks the slices of its sector clearly too badly."""
    floor = settings.sector_auroc
    aurocs = _by_sector(candidate, candidate.on_validation)
    return [
        _if_enough(
            GateCheck(
                rule=f"slice AUROC in sector {sector} must not be clearly below {floor:g}",
                figure="sector_auroc",
                sector=sector,
                patients=candidate.validation.nodule_patients(candidate.inside(sector)),
                value=estimate(auroc),
                limit=floor,
                passed=not _beyond(estimate(auroc), low=floor, high=None),
            ),
            settings.patients,
        )
        for sector, auroc in aurocs.items()
    ]


def sectors_kept(candidate: Candidate, champion: Champion, settings: GateConfig) -> list[GateCheck]:
    """Check that no sector's own model is clearly worse than the champion is there, whatever sectors that has."""
    if champion.probabilities is None:
        return []
    margin, name = settings.sector_margin, champion.name
    ours, theirs = (_by_sector(candidate, p) for p in (candidate.on_validation, champion.probabilities))
    differences = {sector: estimate(ours[sector] - theirs[sector]) for sector in ours}
    return [
        _if_enough(
            GateCheck(
                rule=f"slice AUROC in sector {sector} must not be below {name}'s by clearly more than {margin:g}",
                figure="sector_auroc",
                against=name,
                sector=sector,
                patients=candidate.validation.nodule_patients(candidate.inside(sector)),
                value=difference,
                limit=-margin,
                passed=not _beyond(difference, low=-margin, high=None),
            ),
            settings.patients,
        )
        for sector, difference in differences.items()
    ]


def findings_floor(candidate: Candidate, settings: GateConfig) -> list[GateCheck]:
    """Check that findings do not clearly miss too many nodules; a release without findings has no such check."""
    found, floor = candidate.findings, settings.findings_sensitivity
    if found is None:
        return []
    sensitivity = estimate(found.froc.at(FLOOR_RATE))
    check = GateCheck(
        rule=f"findings' sensitivity at {FLOOR_RATE} false positives a scan must not be clearly below {floor:g}",
        figure="findings",
        patients=found.nodule_patients,
        value=sensitivity,
        limit=floor,
        passed=not _beyond(sensitivity, low=floor, high=None),
    )
    return [_if_enough(check, settings.patients)]


def findings_kept(candidate: Candidate, champion: Champion, settings: GateConfig) -> list[GateCheck]:
    """Check that findings are not clearly worse than the champion's, where both have some."""
    ours, theirs, margin = candidate.findings, champion.findings, settings.findings_margin
    if ours is None or theirs is None:
        return []
    difference = estimate(ours.froc.cpm() - theirs.froc.cpm())
    check = GateCheck(
        rule=f"findings' CPM must not be below {champion.name}'s by clearly more than {margin:g}",
        figure="cpm",
        against=champion.name,
        patients=ours.nodule_patients,
        value=difference,
        limit=-margin,
        passed=not _beyond(difference, low=-margin, high=None),
    )
    return [_if_enough(check, settings.patients)]


def system_kept(kind: str, difference: Estimate, patients: int, champion: str, settings: GateConfig) -> GateCheck:
    """Check that a system of findings is not clearly worse than the champion's on the same nodules.

    Parameters
    ----------
    kind : str
        ``segmenter`` or ``malignancy``.
    difference : Estimate
        Of Dice, or of the AUROC of P(malignant): this release's less the champion's, paired over patients.
    patients : int
        With such nodules.
    champion : str
        What people call it.
    settings : GateConfig
        Margins, and how many patients can tell.
    """
    of_outlines = kind == "segmenter"
    margin = settings.outline_margin if of_outlines else settings.malignancy_margin
    told = "Dice of outlines of nodules" if of_outlines else "AUROC of P(malignant) of nodules"
    check = GateCheck(
        rule=f"{told} must not be below {champion}'s by clearly more than {margin:g}",
        figure="dice" if of_outlines else "malignancy",
        against=champion,
        patients=patients,
        value=difference,
        limit=-margin,
        passed=not _beyond(difference, low=-margin, high=None),
    )
    return _if_enough(check, settings.patients)


def _differences(candidate: Candidate, theirs: Floats) -> tuple[Estimate, Estimate]:
    """Return slice AUROC minus theirs, and log loss minus theirs as a share of theirs."""
    sample = candidate.validation
    auroc = auroc_draws(candidate.on_validation, sample) - auroc_draws(theirs, sample)
    loss = log_loss_draws(candidate.on_validation, sample) / log_loss_draws(theirs, sample) - 1
    return estimate(auroc), estimate(loss)


def _by_sector(candidate: Candidate, probabilities: Floats) -> dict[int, Floats]:
    return {
        sector: auroc_draws(probabilities, candidate.validation, candidate.inside(sector))
        for sector in candidate.sectors
    }


def _beyond(value: Estimate, *, low: float | None, high: float | None) -> bool:
    """Return whether the whole interval lies below `low` or above `high`, the figure itself with it."""
    ends = [end for end in (value.value, value.low, value.high) if end is not None]
    if not ends:
        return False
    return (low is not None and max(ends) < low) or (high is not None and min(ends) > high)


def _if_enough(check: GateCheck, patients: int) -> GateCheck:
    """Leave a floor unjudged if too few patients have a nodule, or none at all."""
    if (check.patients or 0) >= patients and check.value.value is not None:
        return check
    remark = f"not judged: fewer than {patients} patients with a nodule there"
    return check.model_copy(update={"passed": None, "remark": remark})
