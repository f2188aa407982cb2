"""Classical systems of malignancy: a support vector machine and a forest on QIF, and size alone."""

from __future__ import annotations

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from lidcflow.learn.rated_nodules import Floats, Fold, RatedNodules

TREES, LEAST_LEAF = 500, 3

C = 1.0
"""Penalty of the support vector machine; its width is scikit-learn's ``scale``. Both were fixed beforehand."""


def forest(seed: int) -> ClassifierMixin:
    """Return a random forest, its settings fixed beforehand."""
    made: ClassifierMixin = RandomForestClassifier(TREES, min_samples_leaf=LEAST_LEAF, n_jobs=1, random_state=seed)
    return made


def support_vector_machine() -> ClassifierMixin:
    """Return a support vector machine with a radial kernel, calibrated within what it learns from."""
    machine = CalibratedClassifierCV(SVC(C=C, kernel="rbf", gamma="scale"), ensemble=False)
    made: ClassifierMixin = make_pipeline(StandardScaler(), machine)
    return made


def learn_classical(nodules: RatedNodules, fold: Fold) -> dict[str, Floats]:
    """Learn the classical systems; see `lidcflow.learn.rated_nodules.Learn`."""
    size = np.log(nodules.diameter_mm)[:, None]
    return {
        "SVM on QIF": _answers(support_vector_machine(), nodules.qif, fold),
        "random forest on QIF": _answers(forest(fold.seed), nodules.qif, fold),
        "size alone": _answers(make_pipeline(StandardScaler(), LogisticRegression()), size, fold),
    }


def _answers(system: ClassifierMixin, features: Floats, fold: Fold) -> Floats:
    return fit_and_answer(system, features[fold.seen], features[fold.left_out], fold)


def fit_and_answer(system: ClassifierMixin, seen: Floats, left_out: Floats, fold: Fold) -> Floats:
    """Fit a classifier and return P(malignant) of the nodules left out.

    Parameters
    ----------
    system : classifier
        Of scikit-learn.
    seen, left_out : (nodules, features) arrays
    fold : Fold
        Says which are malignant.
    """
    fitted = system.fit(seen, fold.malignant[fold.seen])
    return np.asarray(fitted.predict_proba(left_out)[:, 1], np.float64)
