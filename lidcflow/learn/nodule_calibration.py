"""From logits and the filter's scores to P(nodule), and how the nodules of series rank by it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from lidcflow.learn.nodule_candidates import OTHER, READERS, CandidateImages
from lidcflow.nodules.detector import LEAST_SCORE, Calibration, calibrated
from lidcflow.nodules.detector_network import DetectorNetwork
from lidcflow.nodules.select import uncovered
from lidcflow.nodules.window import middle

MOST_FINDINGS = 8
"""Findings of a series above the threshold, on the series that it is chosen on."""

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class ScoredSeries:
    """The candidates of a series with their logits.

    Attributes
    ----------
    found : CandidateImages
    logits : (n, 3) array of float32
        Of the axial, coronal and sagittal plane.
    """

    found: CandidateImages
    logits: NDArray[np.float32]

    @property
    def score(self) -> Floats:
        """The filter's score of each candidate."""
        return np.asarray(self.found.candidates.table["score"], np.float64)


def score_series(found: CandidateImages, networks: Sequence[DetectorNetwork]) -> ScoredSeries:
    """Apply networks to the three planes of each candidate."""
    grey = middle(found.images[:, :3])
    flat = grey.reshape(-1, *grey.shape[2:])
    logits = np.mean([network(flat) for network in networks], axis=0)
    return ScoredSeries(found, np.asarray(logits.reshape(-1, 3), np.float32))


def fit_calibration(series: Sequence[ScoredSeries]) -> Calibration:
    """Fit the logistic model of candidates and choose the threshold.

    Parameters
    ----------
    series : sequence of ScoredSeries
        Not trained on. Candidates in nodules of three readers and more are nodules, those in other tissue are not;
        each series counts the same, and so does each of its nodules.

    Returns
    -------
    Calibration
        The threshold is the lowest that leaves every series with at most `MOST_FINDINGS` findings.
    """
    features, label, weight = (np.concatenate(part) for part in zip(*map(_examples, series), strict=True))
    model = LogisticRegression(C=1.0, max_iter=1000).fit(features, label, sample_weight=weight)
    logit, log_score = model.coef_[0].tolist()
    fitted = Calibration(float(model.intercept_[0]), logit, log_score, 0.5)
    ninth = [best[MOST_FINDINGS] for one in series if len(best := _of_findings(one, fitted)) > MOST_FINDINGS]
    return Calibration(fitted.intercept, logit, log_score, float(np.nextafter(max(ninth, default=0.5), 1)))


def _of_findings(one: ScoredSeries, calibration: Calibration) -> NDArray[np.float64]:
    """Return P(nodule) of what would be findings at a threshold of 0, best first."""
    probability = probabilities(one, calibration)
    return probability[finding_order(one.found, probability)]


def finding_order(found: CandidateImages, score: Floats) -> NDArray[np.intp]:
    """Return the candidates by their score, best first, without those that a better one covers."""
    order = np.argsort(-np.asarray(score), kind="stable")
    return uncovered(order, found.candidates.table, found.pixel_mm)


def _examples(one: ScoredSeries) -> tuple[Floats, NDArray[np.bool_], Floats]:
    readers, nodule = one.found.readers, one.found.nodule
    used = (readers >= READERS) | (nodule == OTHER)
    several = np.array([(nodule == i).sum() if i >= 0 else 1 for i in nodule])
    features = np.stack([one.logits.mean(axis=1), np.log(np.maximum(one.score, LEAST_SCORE))], axis=1)
    return features[used], readers[used] >= READERS, 1 / several[used]


def probabilities(one: ScoredSeries, calibration: Calibration) -> NDArray[np.float64]:
    """Return P(nodule) of the candidates of a series."""
    return calibrated(one.logits.mean(axis=1), one.score, calibration)


def left_out_probabilities(series: Sequence[ScoredSeries]) -> list[NDArray[np.float64]]:
    """Return P(nodule) of the candidates of each series, calibrated on the others."""
    return [probabilities(one, fit_calibration([other for other in series if other is not one])) for one in series]


CONTESTANTS: dict[str, Callable[[ScoredSeries], Floats]] = {
    "filter": lambda one: one.score,
    "size": lambda one: np.asarray(one.found.candidates.table["diameter_mm"], np.float64),
    "axial plane": lambda one: one.logits[:, 0],
    "three planes": lambda one: one.logits.mean(axis=1),
}
"""Scores to compare P(nodule) with."""


def nodule_ranks(found: CandidateImages, score: Floats) -> list[tuple[int, int | None]]:
    """Return, for each nodule of a series, its readers and the rank of its best finding, 1 the highest.

    Further findings in a nodule that has its rank already are not counted; None where there is none in it.
    """
    ranks: dict[int, int] = {}
    passed = 0
    for i in finding_order(found, score).tolist():
        nodule = int(found.nodule[i])
        if nodule in ranks:
            continue
        passed += 1
        if nodule >= 0:
            ranks[nodule] = passed
    return [(int(readers), ranks.get(i)) for i, readers in enumerate(found.nodule_readers)]
