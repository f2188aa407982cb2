"""Judge a detector of one's own by validation patients: its calibration, its threshold, and whether it is better."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from lidcflow.nodules.detector import LEAST_SCORE, Calibration, calibrated
from lidcflow.nodules.truth import Kind
from lidcflow.stats.bootstrap import RESAMPLES, draw_patients, estimate, ratio, sums_by_patient
from lidcflow.stats.estimate import Estimate, Record
from lidcflow.stats.metrics import auroc

Floats = NDArray[np.float64]

MOST_FINDINGS = 8
"""Findings of a series above the threshold, in `WITHIN` of the validation series."""

WITHIN = 0.95

LEAST_THRESHOLD = 0.05
"""Below, 19 of 20 findings would be false, however few candidates a series has."""

RATES = (0.125, 0.25, 0.5, 1, 2, 4, 8)
"""False positives a series at which CPM takes the sensitivity."""

FOLDS = 5

LEAST_P = 1e-6


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
    """

    own: bool
    reason: str
    figures: dict[str, Estimate]


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
    model = LogisticRegression(C=1.0, max_iter=1000).fit(features, label, sample_weight=weight)
    logit, log_score = model.coef_[0].tolist()
    fitted = Calibration(float(model.intercept_[0]), logit, log_score, 0.5)
    threshold = threshold_for([_probability(one, fitted) for one in series])
    return Calibration(fitted.intercept, logit, log_score, threshold)


def _features(one: JudgedSeries) -> Floats:
    used = one.kind != Kind.EXCLUDED
    return np.stack([one.logits, np.log(np.maximum(one.score, LEAST_SCORE))], axis=1)[used]


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
    cpm = {name: cpm_draws(series, score, patients, draws) for name, score in contestants.items()}
    loss = {name: _loss_draws(series, contestants[name], patients, draws) for name in ("", "_embedded")}
    figures = {f"cpm{name}": estimate(values) for name, values in cpm.items()}
    figures |= {f"log_loss{name}": estimate(values) for name, values in loss.items()}
    figures |= {f"auroc{name}": Estimate(value=_auroc(series, score)) for name, score in contestants.items()}
    figures["cpm_difference"] = estimate(cpm[""] - cpm["_embedded"])
    figures["log_loss_difference"] = estimate(loss[""] - loss["_embedded"])
    return _chosen(figures, draws.shape[1])


def _chosen(figures: dict[str, Estimate], patients: int) -> Choice:
    cpm, loss = figures["cpm_difference"], figures["log_loss_difference"]
    higher, lower = (cpm.low or 0.0) > 0, (loss.high is not None and loss.high < 0)
    own = (higher and (loss.value or 0.0) <= 0) or (lower and (cpm.value or 0.0) >= 0)
    verdict = "better than the embedded one" if own else "not surely better than the embedded one, which is kept"
    reason = (
        f"the detector trained on this store was {verdict}, on {patients} validation patients: CPM {figures['cpm']} "
        f"against {figures['cpm_embedded']}, difference {cpm}; log loss {figures['log_loss']} against "
        f"{figures['log_loss_embedded']}, difference {loss}"
    )
    return Choice(own=own, reason=reason, figures=figures)


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


def cpm_draws(
    series: Sequence[JudgedSeries], scores: Sequence[Floats], patients: NDArray[np.integer], draws: Floats
) -> Floats:
    """Return CPM in each draw of patients: the mean sensitivity at `RATES` false positives a series.

    Of several candidates in a nodule the best counts, and the others neither way, as do those that are excluded; of
    equal scores, false positives come first.

    Parameters
    ----------
    series : sequence of JudgedSeries
    scores : sequence of (n,) arrays
        Of each series' candidates.
    patients : (series,) array of int
        Patient of each, from 0.
    draws : (draws, patients) array
        From `lidcflow.stats.bootstrap.draw_patients`.

    References
    ----------
    Setio et al. 2017, doi:10.1016/j.media.2017.06.015, section 4.
    """
    of_series = [list(_events(one, score)) for one, score in zip(series, scores, strict=True)]
    events = np.array([(*event, patient) for found, patient in zip(of_series, patients, strict=True) for event in found])
    events = events.reshape(-1, 3)[np.lexsort((events.reshape(-1, 3)[:, 1], -events.reshape(-1, 3)[:, 0]))]
    hit, patient = events[:, 1].astype(bool), events[:, 2].astype(np.intp)
    counts = np.array([(one.nodules, 1) for one in series])
    nodules, scans = (draws @ sums_by_patient(counts, patients, draws.shape[1])).T
    found = np.stack([_found(draw[patient], hit, n) for draw, n in zip(draws, scans.tolist(), strict=True)])
    return ratio(found.mean(axis=1), nodules)


def _events(one: JudgedSeries, score: Floats) -> Iterator[tuple[float, bool]]:
    """Yield score and whether it is a hit: every false positive, and the best candidate of each nodule."""
    yield from ((float(value), False) for value in score[one.kind == Kind.NEGATIVE])
    nodule = one.kind == Kind.NODULE
    for number in np.unique(one.nodule[nodule]):
        yield float(score[nodule & (one.nodule == number)].max()), True


def _found(weight: Floats, hit: NDArray[np.bool_], scans: float) -> Floats:
    """Return how many nodules are found at each of `RATES` false positives a scan."""
    false, found = np.cumsum(weight * ~hit), np.cumsum(weight * hit)
    last = np.searchsorted(false, np.array(RATES) * scans, side="right") - 1
    return np.asarray(np.where(last >= 0, found[last], 0.0), np.float64)
