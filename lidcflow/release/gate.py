"""The gate: whether a new release may take the place of the one in force by itself.

**Whose patients.** Release and champion are compared on the validation patients of the new release. The split is a
hash of the patient, so none of them was ever trained on by either. The test patients stay for the report: a gate that
compared on them would choose the release that happens to suit them, again with every retraining, and their figures
would turn too good. Validation is not innocent either: early stopping, calibration and threshold were fitted on it, so
its figures are a little too good, for the champion (on the patients it knew) as for the release; it is their
difference that counts. The calibration error alone is held against the test patients: on those it was fitted on it
says little, and a floor that refuses only what is clearly beyond it hardly selects.

**No worse.** A release passes against a champion if it is at least as good on these patients, or if the whole 95%
interval of the difference, by paired bootstrap over patients, lies on the good side of the margin. With two hundred
patients that lets a release lose a little, once it is shown to be no more; with five nothing can be shown, and the
release must be at least as good in the sample, as it would be hopeless to ask for proof.

**No drift.** Small losses within the margin would add up over many promotions, so that the best earlier champion is a
second opponent, on the same patients and by the same rule.

**Floors.** A floor refuses only what is clearly beyond it: the whole interval, not the figure alone, so that one
unlucky sector of thirteen does not stop a release. Where too few patients have a nodule, a floor is not judged, and
the check states it.

**Findings.** They have a floor of their own, and are compared with the findings of the release in force where both have
some; so are outlines and P(malignant), where other systems give them. Slices are compared as each release answers for
them, findings included.
"""

from __future__ import annotations

from collections.abc import Sequence

from lidcflow.config import Config, GateConfig, LabelConfig
from lidcflow.release.gate_rows import format_difference
from lidcflow.release.outcome import Gate, GateCheck
from lidcflow.release.record import ReleaseRecord
from lidcflow.release.rules import (
    PRIOR,
    Candidate,
    Champion,
    better_than_prior,
    calibrated,
    findings_floor,
    findings_kept,
    no_worse,
    sector_floors,
    sectors_kept,
)


def judge_release(
    candidate: Candidate, champions: Sequence[Champion], settings: GateConfig, of_systems: Sequence[GateCheck] = ()
) -> Gate:
    """Decide whether a release may become champion by itself, rule by rule.

    Parameters
    ----------
    candidate : Candidate
        The release.
    champions : sequence of Champion
        The one in force first, then the best earlier one; empty for the first release.
    settings : GateConfig
        Margins and floors.
    of_systems : sequence of GateCheck
        What became of the systems that say what findings are, beside those of the release in force.

    Returns
    -------
    Gate
        With every rule's outcome; refused where any is broken, and a rule that could not be judged breaks nothing.
    """
    checks = better_than_prior(candidate)
    for champion in champions:
        checks += no_worse(candidate, champion, settings)
    checks += [calibrated(candidate, settings), *sector_floors(candidate, settings)]
    checks += findings_floor(candidate, settings)
    checks += sectors_kept(candidate, champions[0], settings) if champions else []
    checks += findings_kept(candidate, champions[0], settings) if champions else []
    checks += of_systems
    broken = [_broken(check) for check in checks if check.passed is False]
    compared = " and ".join(champion.name for champion in champions) or PRIOR
    reason = "; ".join(broken) or _kept(checks, candidate.validation.patient_count, compared)
    return Gate(passed=not broken, reason=reason, compared_with=compared, checks=tuple(checks))


def why_not_comparable(
    champion: ReleaseRecord, config: Config, snapshot_digest: str, backbone_id: str, synthetic: bool
) -> str:
    """Return why the champion can't be measured on the validation slices of a new release, empty if it can.

    Parameters
    ----------
    champion : ReleaseRecord
        The release in force.
    config : Config
        Of the new release.
    snapshot_digest, backbone_id : str
        Of the new release.
    synthetic : bool
        Whether any series of the new release is synthetic.

    Returns
    -------
    str
        A sentence, or an empty string.
    """
    same_slices = champion.snapshot_digest == snapshot_digest
    rules = {
        "the same preprocessing": champion.preprocess_digest == config.preprocess.digest,
        "the same labels": _rules_of(champion.labels) == _rules_of(config.labels.portable),
        "the same split of patients": champion.split == config.split,
        "the same backbone or the same snapshot": champion.backbone.id == backbone_id or same_slices,
        "series of patients, not synthetic ones, as the champion's": champion.synthetic or not synthetic,
    }
    if broken := [rule for rule, holds in rules.items() if not holds]:
        return (
            f"a release must have {broken[0]} to be compared with version {champion.version}; "
            "judge it by hand, then `lidcflow promote VERSION --force --reason ...`"
        )
    return ""


def _rules_of(labels: LabelConfig) -> LabelConfig:
    """Return how readings become labels, whether marks are among the readings or not."""
    return labels.model_copy(update={"marks": False})


def _broken(check: GateCheck) -> str:
    return (
        check.remark if check.figure == "comparable" else f"{check.split} {check.rule}, got {format_difference(check)}"
    )


def _kept(checks: Sequence[GateCheck], patients: int, compared: str) -> str:
    """Describe why a release passed, with its differences from the last it was compared with first."""
    of_whole = {(check.against, check.figure): check for check in checks if check.sector is None}
    words = "better than the" if compared == PRIOR else "no worse than"
    told = [
        f"slice AUROC {format_difference(of_whole[name, 'auroc'])}, "
        f"log loss {format_difference(of_whole[name, 'log_loss'])}"
        for name in compared.split(" and ")
    ]
    return f"{words} {compared} on the same {patients} validation patients: {'; '.join(told)}"
