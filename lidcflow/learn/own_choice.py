"""Judge a detector of one's own by validation patients: its calibration, its threshold, and whether it is better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lidcflow.nodules.detector import LEAST_SCORE, Calibration, calibrated
from lidcflow.nodules.finding_figures import MISSED, FindingDraws, SeriesMarks
from lidcflow.nodules.truth import Kind
from lidcflow.stats.bootstrap import RESAMPLES, draw_patients, estimate, ratio, sums_by_patient
from lidcflow.stats.estimate import Estimate, Record
from lidcflow.stats.froc import Froc
from lidcflow.stats.metrics import auroc

Floats = NDArray[np.float64]

MOST_FINDINGS = 8
"""Findings of a series above the threshold, in `WITHIN` of the validation series."""

WITHIN = 0.95

LEAST_THRESHOLD = 0.02
"""Below, 49 of 50 findings would be false, however few candidates a series has."""

FOLDS = 5

LEAST_P = 1e-6

CURVES = {"": "own detector", "_embedded": "embedded detector", "_filter": "filter"}


@dataclass(frozen=True, eq=False)
class JudgedSeries:
    """The candidates of a validation series with what two detectors say.

    Attributes
    ----------
    patient_key : str
    kind, nodule : (n,) arrays of int
        See `lidcflow.nodules.truth.Truth`.
    nodules : int
        To be found in the series, by a candidate or not.
    score : (n,) array
        The filter's.
    logits : (n,) array
        The own detector's.
    embedded : (n,) array
        P(nodule) by the embedded detector, as it ships.
    """

    patient_key: str
    kind: NDArray[np.integer]
    nodule: NDArray[np.integer]
    nodules: int
    score: Floats
    logits: Floats
    embedded: Floats


class Choice(Record):
    """Whether the own detector is better than the embedded one, why, and the figures of both.

    Attributes
    ----------
    own : bool
    reason : str
        For people.
    figures : dict of str to Estimate
        ``log_loss``, ``cpm`` and ``auroc`` of candidates for the own detector, with ``_embedded`` and ``_filter`` for
        the others, and ``log_loss_difference``, ``cpm_difference``: own less embedded, by paired bootstrap.
    curves : dict of str to tuple
        FROC of each: false positives a scan, and the share of nodules found.
    """

    own: bool
    reason: str
    figures: dict[str, Estimate]
    curves: dict[str, tuple[tuple[float, float], ...]] = Field(default_factory=dict)


def fit_calibration(series: Sequence[JudgedSeries]) -> Calibration:
    """Fit P(nodule) from the own logits and the filter's scores, and choose the threshold.

    Candidates in nodules that count are nodules, those in other tissue are not; those of a nodule weigh 1 together.

    Parameters
    ----------
    series : sequence of JudgedSeries
        Of both kinds of candidates.

    Returns
    -------
    Calibration
        The threshold is the least with at most `MOST_FINDINGS` candidates above it in `WITHIN` of the series, and no
        less than `LEAST_THRESHOLD`.
    """
    features = np.concatenate([_features(one) for one in series])
    label, weight = (np.concatenate(part) for part in zip(*map(_labels, series), strict=True))
    linear = import_module("sklearn.linear_model")  # 1.5 s of CPU, which workers that train sectors do without
    model = linear.LogisticRegression(C=1.0, max_iter=1000).fit(features, label, sample_weight=weight)
    logit, log_score = model.coef_[0].tolist()
    fitted = Calibration(float(model.intercept_[0]), logit, log_score, 0.5)
    threshold = threshold_for([_probability(one, fitted) for one in series])
    return Calibration(fitted.intercept, logit, log_score, threshold)


def _features(one: JudgedSeries) -> Floats:
    used = one.kind != Kind.EXCLUDED
    columns = np.stack([one.logits, np.log(np.maximum(one.score, LEAST_SCORE))], axis=1)
    return np.asarray(columns[used], np.float64)


def _labels(one: JudgedSeries) -> tuple[NDArray[np.bool_], Floats]:
    used, nodule = one.kind != Kind.EXCLUDED, one.kind == Kind.NODULE
    several = np.array([max(1, (nodule & (one.nodule == i)).sum()) for i in one.nodule], np.float64)
    return nodule[used], np.where(nodule, 1 / several, 1.0)[used]


def _probability(one: JudgedSeries, calibration: Calibration) -> Floats:
    return calibrated(one.logits, one.score, calibration)


def threshold_for(probabilities: Sequence[Floats]) -> float:
    """Return the least threshold with at most `MOST_FINDINGS` above it in `WITHIN` of the series.

    Examples
    --------
    >>> threshold_for([np.linspace(0, 0.9, 10), np.array([0.3])])
    0.10000000000000002
    """
    ninth = [np.sort(one)[::-1][MOST_FINDINGS] if len(one) > MOST_FINDINGS else 0.0 for one in probabilities]
    at = float(np.quantile(ninth, WITHIN, method="higher"))
    return max(float(np.nextafter(at, 1)), LEAST_THRESHOLD)


def cross_fitted(series: Sequence[JudgedSeries]) -> list[Floats]:
    """Return P(nodule) of each series by the own detector, calibrated on other patients' series."""
    fold = folds_of(series)
    calibrations = {
        k: fit_calibration([one for one, its in zip(series, fold, strict=True) if its != k]) for k in set(fold)
    }
    return [_probability(one, calibrations[k]) for one, k in zip(series, fold, strict=True)]


def folds_of(series: Sequence[JudgedSeries]) -> list[int]:
    """Part patients into at most `FOLDS` folds, those with nodules evenly."""
    found = {one.patient_key: 0 for one in series}
    for one in series:
        found[one.patient_key] += int((one.kind == Kind.NODULE).any())
    ordered = sorted(found, key=lambda key: (found[key] == 0, key))
    fold = {key: i % FOLDS for i, key in enumerate(ordered)}
    return [fold[one.patient_key] for one in series]


def choose(series: Sequence[JudgedSeries], *, seed: int) -> Choice:
    """Compare the own detector with the embedded one by validation patients, paired.

    The own one is calibrated on the other patients each time. It is better if one of CPM and log loss is better in
    95% of the draws of patients, and the other one is not worse on all patients.

    Parameters
    ----------
    series : sequence of JudgedSeries
        Nodules of at least two patients.
    seed : int
        Of the draws.
    """
    own = cross_fitted(series)
    _, patients = np.unique([one.patient_key for one in series], return_inverse=True)
    draws = draw_patients(int(patients.max()) + 1, seed=seed, resamples=RESAMPLES)
    contestants = {"": own, "_embedded": [one.embedded for one in series], "_filter": [one.score for one in series]}
    froc = {name: froc_draws(series, score, patients, draws) for name, score in contestants.items()}
    cpm = {name: one.cpm() for name, one in froc.items()}
    loss = {name: _loss_draws(series, contestants[name], patients, draws) for name in ("", "_embedded")}
    figures = {f"cpm{name}": estimate(values) for name, values in cpm.items()}
    figures |= {f"log_loss{name}": estimate(values) for name, values in loss.items()}
    figures |= {f"auroc{name}": Estimate(value=_auroc(series, score)) for name, score in contestants.items()}
    figures["cpm_difference"] = estimate(cpm[""] - cpm["_embedded"])
    figures["log_loss_difference"] = estimate(loss[""] - loss["_embedded"])
    curves = {CURVES[name]: tuple((float(x), float(y)) for x, y in one.curve()) for name, one in froc.items()}
    return _chosen(figures, curves, draws.shape[1])


def _chosen(figures: dict[str, Estimate], curves: dict[str, tuple[tuple[float, float], ...]], patients: int) -> Choice:
    cpm, loss = figures["cpm_difference"], figures["log_loss_difference"]
    higher, lower = (cpm.low or 0.0) > 0, (loss.high is not None and loss.high < 0)
    own = (higher and (loss.value or 0.0) <= 0) or (lower and (cpm.value or 0.0) >= 0)
    verdict = "better than the embedded one" if own else "not surely better than the embedded one, which is kept"
    reason = (
        f"the detector trained on this store was {verdict}, on {patients} validation patients: CPM {figures['cpm']} "
        f"against {figures['cpm_embedded']}, difference {cpm}; log loss {_small(figures['log_loss'])} against "
        f"{_small(figures['log_loss_embedded'])}, difference {_small(loss)}"
    )
    return Choice(own=own, reason=reason, figures=figures, curves=curves)


def _small(figure: Estimate) -> str:
    """Write a figure of hundredths: most candidates are surely none."""
    if figure.value is None or figure.low is None or figure.high is None:
        return "-" if figure.value is None else f"{figure.value:.4f}"
    return f"{figure.value:.4f} ({figure.low:.4f} to {figure.high:.4f})"


def _loss_draws(
    series: Sequence[JudgedSeries], probabilities: Sequence[Floats], patients: NDArray[np.integer], draws: Floats
) -> Floats:
    sums = [_loss(one, p) for one, p in zip(series, probabilities, strict=True)]
    loss, weight = sums_by_patient(np.array(sums), patients, draws.shape[1]).T
    return ratio(draws @ loss, draws @ weight)


def _loss(one: JudgedSeries, p: Floats) -> tuple[float, float]:
    nodule, weight = _labels(one)
    of_true = np.where(nodule, p[one.kind != Kind.EXCLUDED], 1 - p[one.kind != Kind.EXCLUDED])
    return float(-(weight * np.log(np.maximum(of_true, LEAST_P))).sum()), float(weight.sum())


def _auroc(series: Sequence[JudgedSeries], scores: Sequence[Floats]) -> float:
    used = np.concatenate([one.kind != Kind.EXCLUDED for one in series])
    nodule = np.concatenate([one.kind == Kind.NODULE for one in series])
    return float(auroc(np.concatenate(list(scores))[used], nodule[used]))


def froc_draws(
    series: Sequence[JudgedSeries], scores: Sequence[Floats], patients: NDArray[np.integer], draws: Floats
) -> Froc:
    """Return the FROC curve of each draw of patients.

    Of several candidates in a nodule the best counts, and the others neither way, as do those that are excluded.

    Parameters
    ----------
    series : sequence of JudgedSeries
    scores : sequence of (n,) arrays
        Of each series' candidates.
    patients : (series,) array of int
        Patient of each, from 0.
    draws : (draws, patients) array
        From `lidcflow.stats.bootstrap.draw_patients`.
    """
    marks = [_marks(one, score) for one, score in zip(series, scores, strict=True)]
    return FindingDraws(marks, patients, draws).froc


def _marks(one: JudgedSeries, score: Floats) -> SeriesMarks:
    nodule, found = one.kind == Kind.NODULE, np.full(one.nodules, MISSED)
    best = [score[nodule & (one.nodule == number)].max() for number in np.unique(one.nodule[nodule])]
    found[: len(best)] = best
    return SeriesMarks(score[one.kind == Kind.NEGATIVE], found, np.arange(one.nodules) < len(best))
