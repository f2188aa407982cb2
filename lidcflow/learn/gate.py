"""The gate: whether a new release may take the place of the one in force by itself."""

from __future__ import annotations

from lidcflow.config import Config
from lidcflow.learn.release import Estimate, Gate, Record, ReleaseRecord, SplitFigures

AUROC_MARGIN = 0.01
"""How far a release's slice AUROC may lie below the champion's and still pass the gate."""

LOG_LOSS_MARGIN = 0.02
"""How far a release's log loss may lie above the champion's, as a share of it."""


class Champion(Record):
    """The release in force as the gate sees it: with figures of the same validation slices, or why there are none."""

    version: int
    figures: SplitFigures | None
    why_not: str = ""


def judge(figures: SplitFigures, champion: Champion | None) -> Gate:
    """Decide whether a release may become champion by itself.

    On the validation patients it must rank slices better than the sector prior (slice AUROC of nodule
    against none) and put better probabilities on them (log loss of the three classes). If there is a
    champion, neither figure may be worse than the champion's by more than a small margin.

    Parameters
    ----------
    figures : SplitFigures
        Of the new release on validation.
    champion : Champion, optional
        None for the first release; its figures are of the same validation slices, or None with the
        reason why the two can't be compared.
    """
    if not (_auroc(figures.release) > _auroc(figures.sector_prior)):
        return _refused("slice AUROC must exceed the sector prior's", "auroc_nodule", figures, figures.sector_prior)
    if not (_loss(figures.release) < _loss(figures.sector_prior)):
        return _refused("log loss must be below the sector prior's", "log_loss", figures, figures.sector_prior)
    if champion is None:
        return Gate(passed=True, compared_with="sector prior", reason=_better_than_prior(figures))
    return _against(figures, champion)


def why_not_comparable(
    champion: ReleaseRecord, config: Config, snapshot_digest: str, backbone_id: str, synthetic: bool
) -> str:
    """Say why the champion can't be measured on the validation slices of a new release, or nothing if it can.

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
        "the same labels": champion.labels == config.labels.portable,
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


def _against(figures: SplitFigures, champion: Champion) -> Gate:
    name = f"version {champion.version}"
    if champion.figures is None:
        return Gate(passed=False, compared_with=name, reason=champion.why_not)
    theirs = champion.figures.release
    if not (_auroc(figures.release) >= _auroc(theirs) - AUROC_MARGIN):
        rule = f"slice AUROC must not lie more than {AUROC_MARGIN} below that of {name}"
        return _refused(rule, "auroc_nodule", figures, theirs, name)
    if not (_loss(figures.release) <= _loss(theirs) * (1 + LOG_LOSS_MARGIN)):
        rule = f"log loss must not lie more than {LOG_LOSS_MARGIN:.0%} above that of {name}"
        return _refused(rule, "log_loss", figures, theirs, name)
    ours = figures.release
    reason = (
        f"not worse than {name} on validation: slice AUROC {ours['auroc_nodule'].value:.3f} "
        f"against {theirs['auroc_nodule'].value:.3f}, log loss {ours['log_loss'].value:.3f} "
        f"against {theirs['log_loss'].value:.3f}"
    )
    return Gate(passed=True, compared_with=name, reason=reason)


def _refused(
    rule: str, key: str, figures: SplitFigures, theirs: dict[str, Estimate], compared_with: str = "sector prior"
) -> Gate:
    got, other = (_text(of[key].value) for of in (figures.release, theirs))
    return Gate(passed=False, compared_with=compared_with, reason=f"validation {rule}, got {got} against {other}")


def _better_than_prior(figures: SplitFigures) -> str:
    ours, prior = figures.release, figures.sector_prior
    return (
        f"better than the sector prior on validation: slice AUROC {ours['auroc_nodule'].value:.3f} against "
        f"{prior['auroc_nodule'].value:.3f}, log loss {ours['log_loss'].value:.3f} "
        f"against {prior['log_loss'].value:.3f}"
    )


def _auroc(figures: dict[str, Estimate]) -> float:
    value = figures["auroc_nodule"].value
    return float("nan") if value is None else value


def _loss(figures: dict[str, Estimate]) -> float:
    value = figures["log_loss"].value
    return float("nan") if value is None else value


def _text(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"
