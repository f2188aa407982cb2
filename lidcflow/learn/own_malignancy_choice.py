"""Judge a malignancy system by validation patients: its calibration, and whether it is better than the embedded one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from lidcflow.config.science import MALIGNANT_AT
from lidcflow.learn.own_choice import FOLDS, Choice
from lidcflow.learn.own_malignancy_examples import Flags, Floats
from lidcflow.learn.own_malignancy_figures import DESIGNS
from lidcflow.nodules.malignancy_answer import calibrated
from lidcflow.stats.binary_draws import binary_log_loss_draws, interval_at
from lidcflow.stats.bootstrap import draw_patients, estimate, with_interval
from lidcflow.stats.estimate import Estimate
from lidcflow.stats.malignancy_figures import auroc_draws, chosen_for

PINNED = ("nodulex", "triplanar", "svm", "ridge")
"""Kinds that can take the place of the embedded system; size alone is a baseline."""

LEVEL = 1 - 0.05 / len(PINNED)
"""Level of the intervals that decide: several systems are tried on the same patients (Bonferroni)."""

RESAMPLES = 4000
"""Draws: 25 lie beyond each end of an interval at `LEVEL`."""

EMBEDDED, BY_SIZE = "embedded", "size"


@dataclass(frozen=True, eq=False)
class Judged:
    """Nodules of validation patients, and what systems say of them.

    Attributes
    ----------
    patient : (n,) array of str
    rating : (n,) array of float64
        Mean rating.
    score : (n,) array
        The own system's, before its calibration.
    parts : mapping of str to (n,) array
        Scores of its parts.
    size_score : (n,) array
        That of size alone, learned from the training patients.
    embedded : (n,) array
        P(malignant) by the embedded system, as it ships.
    """

    patient: NDArray[np.str_]
    rating: Floats
    score: Floats
    parts: Mapping[str, Floats]
    size_score: Floats
    embedded: Floats


def fit_score_calibration(score: Floats, malignant: Flags) -> dict[str, float]:
    """Fit P(malignant) by a logistic model of scores, which are standardised for its penalty.

    Parameters
    ----------
    score : (n,) array
    malignant : (n,) array of bool
        Of both kinds.

    Returns
    -------
    dict of str to float
        ``intercept`` and ``slope``.
    """
    mean, scale = float(score.mean()), float(score.std()) or 1.0
    linear = import_module("sklearn.linear_model")  # 1.5 s of CPU, which workers that train sectors do without
    fitted = linear.LogisticRegression(C=1.0).fit(((score - mean) / scale)[:, None], malignant)
    slope = float(fitted.coef_[0, 0]) / scale
    return {"intercept": float(fitted.intercept_[0]) - slope * mean, "slope": slope}


def cross_calibrated(score: Floats, malignant: Flags, patient: NDArray[np.str_]) -> Floats:
    """Return P(malignant) of each nodule, calibrated on other patients' nodules.

    Where all other patients' nodules are of one kind, all nodules are calibrated on.
    """
    probability, fold = np.empty(len(score)), _folds(malignant, patient)
    for k in np.unique(fold):
        others = fold != k
        seen = others if 0 < malignant[others].sum() < others.sum() else np.ones(len(score), bool)
        probability[~others] = calibrated(score[~others], fit_score_calibration(score[seen], malignant[seen]))
    return probability


def _folds(malignant: Flags, patient: NDArray[np.str_]) -> NDArray[np.int64]:
    """Part patients into at most `FOLDS` folds, those with malignant nodules evenly."""
    found = {str(key): bool(malignant[patient == key].any()) for key in np.unique(patient)}
    ordered = sorted(found, key=lambda key: (not found[key], key))
    fold = {key: i % FOLDS for i, key in enumerate(ordered)}
    return np.array([fold[str(key)] for key in patient])


def choose_malignancy(
    judged: Judged, *, kind: str, name: str, malignant_at: float = MALIGNANT_AT, known: int = 0, seed: int
) -> Choice:
    """Compare an own system with the embedded one by validation patients, paired.

    It is better if the AUROC is higher in 98.75% of an interval's draws and the log loss no higher on all patients, or
    the log loss is lower and the AUROC no lower.

    Parameters
    ----------
    judged : Judged
        Nodules of both kinds, of at least two patients.
    kind, name : str
        Of the own system.
    malignant_at : float
        Mean rating from which a nodule counts as malignant.
    known : int
        Validation patients that the embedded system was trained on.
    seed : int
        Of the draws.
    """
    malignant = judged.rating >= malignant_at
    own, size = (cross_calibrated(one, malignant, judged.patient) for one in (judged.score, judged.size_score))
    names, number = np.unique(judged.patient, return_inverse=True)
    draws = draw_patients(len(names), seed=seed, resamples=RESAMPLES)
    probability = {"": own, EMBEDDED: judged.embedded, BY_SIZE: size}
    scores = {"": judged.score, EMBEDDED: judged.embedded, BY_SIZE: judged.size_score, **judged.parts}
    loss = {who: binary_log_loss_draws(one, malignant, number, draws) for who, one in probability.items()}
    area = {who: auroc_draws(one, malignant, number, draws) for who, one in scores.items()}
    compared = {"auroc": area[""] - area[EMBEDDED], "log_loss": loss[""] - loss[EMBEDDED]}
    figures = {f"auroc{_of(who)}": estimate(one) for who, one in area.items()}
    figures |= _design_figures(judged.rating, scores, number, draws)
    figures |= {f"log_loss{_of(who)}": estimate(one) for who, one in loss.items()}
    figures |= {f"{figure}_difference": estimate(values) for figure, values in compared.items()}
    figures |= {f"{figure}_difference_decisive": _decisive(values) for figure, values in compared.items()}
    return _chosen(figures, kind, name, (len(judged.rating), len(names), known))


def _of(who: str) -> str:
    return f"_{who}" if who else ""


def _decisive(values: Floats) -> Estimate:
    """Return a difference with its interval at `LEVEL`."""
    return with_interval(float(values[0]), interval_at(values, LEVEL))


def _design_figures(
    rating: Floats, scores: Mapping[str, Floats], number: NDArray[np.integer], draws: Floats
) -> dict[str, Estimate]:
    """Return the AUROC in designs that leave nodules between out, where they have both kinds."""
    found: dict[str, Estimate] = {}
    for key, design in DESIGNS.items():
        chosen, malignant = chosen_for(design, rating)
        if 0 < (chosen & malignant).sum() < chosen.sum():
            part = malignant[chosen], number[chosen], draws
            found |= {f"auroc{key}{_of(who)}": estimate(auroc_draws(one[chosen], *part)) for who, one in scores.items()}
    return found


def _chosen(figures: dict[str, Estimate], kind: str, name: str, counts: tuple[int, int, int]) -> Choice:
    own = kind in PINNED and is_better(figures["auroc_difference_decisive"], figures["log_loss_difference_decisive"])
    return Choice(own=own, reason="; ".join(_sentences(figures, kind, name, own, counts)), figures=figures)


def is_better(auroc: Estimate, log_loss: Estimate) -> bool:
    """Return whether one figure is surely better and the other one not worse, from differences and their intervals."""
    higher, lower = (auroc.low or 0.0) > 0, log_loss.high is not None and log_loss.high < 0
    no_worse = log_loss.value is not None and log_loss.value <= 0
    no_lower = auroc.value is not None and auroc.value >= 0
    return (higher and no_worse) or (lower and no_lower)


def _sentences(
    figures: Mapping[str, Estimate], kind: str, name: str, own: bool, counts: tuple[int, int, int]
) -> Sequence[str]:
    nodules, patients, known = counts
    verdict = "better than the embedded one" if own else "not surely better than the embedded one"
    if kind not in PINNED:
        verdict = "measured as a baseline, which never takes the place of the embedded one"
    level = f"{100 * LEVEL:.2f}% interval, as {len(PINNED)} systems are tried on the same patients"
    told = [
        f"{name} was {verdict}, on {nodules} nodules of {patients} validation patients: AUROC {figures['auroc']} "
        f"against {figures['auroc_embedded']} and {figures['auroc_size']} by size alone, difference "
        f"{_signed(figures['auroc_difference_decisive'])} ({level})",
        f"log loss {figures['log_loss']} against {figures['log_loss_embedded']}, difference "
        f"{_signed(figures['log_loss_difference_decisive'])}",
    ]
    if known:
        told.append(
            f"the embedded one was trained on {known} of the {patients} patients, so that its figures are too good"
        )
    return told


def _signed(figure: Estimate) -> str:
    if figure.value is None or figure.low is None or figure.high is None:
        return "-" if figure.value is None else f"{figure.value:+.3f}"
    return f"{figure.value:+.3f}, {figure.low:+.3f} to {figure.high:+.3f}"
