"""Cross-validation by patient of systems that learn the mean malignancy rating of nodules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler

from lidcflow.config.science import MALIGNANT_AT
from lidcflow.nodules.slice_file import NoduleSliceSet

Floats = NDArray[np.float64]

FOLDS = 10

PENALTIES = (1000.0, 3000.0, 10_000.0)
"""Penalties of the ridge regression; one is chosen within the training folds, by their own left-out nodules."""


class Regressor(Protocol):
    """Interface of scikit-learn's regressors."""

    def fit(self, features: Floats, rating: Floats, sample_weight: Floats) -> object:
        """Learn ratings."""

    def predict(self, features: Floats) -> Floats:
        """Return ratings."""


class Rated(Protocol):
    """Nodules with ratings."""

    @property
    def rating(self) -> Floats:
        """Mean rating of each."""

    @property
    def readers(self) -> NDArray[np.integer]:
        """Number of readers who rated each nodule: its weight."""


Make = Callable[[int], Regressor]


def ridge(_seed: int) -> Regressor:
    """Return a ridge regression that chooses its penalty."""
    made: Regressor = RidgeCV(PENALTIES)
    return made


def cross_validated(features: Floats, sets: NoduleSliceSet, make: Make, *, seed: int = 0) -> Floats:
    """Return the rating of each nodule by a system that saw none of its patient's.

    Parameters
    ----------
    features : (nodules, features) array
    sets : NoduleSliceSet
        Ratings, number of readers (the weight of a nodule) and patients.
    make : callable
        Makes a regressor from a seed.
    seed : int
        Of the folds and the regressor.
    """
    rating = np.empty(len(features))
    for seen, left_out in patient_folds(sets.patient, seed=seed):
        scaler = StandardScaler().fit(features[seen])
        system = make(seed)
        system.fit(scaler.transform(features[seen]), sets.rating[seen], sample_weight=sets.readers[seen].astype(float))
        rating[left_out] = system.predict(scaler.transform(features[left_out]))
    return rating


def patient_folds(
    patient: NDArray[np.str_], *, folds: int = FOLDS, seed: int = 0
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield which nodules a fold learns from and which it leaves out; no patient is in both.

    Parameters
    ----------
    patient : (nodules,) array of str
    folds : int
        At most as many as there are patients.
    seed : int
    """
    split = GroupKFold(min(folds, len(np.unique(patient))), shuffle=True, random_state=seed)
    yield from split.split(patient, groups=patient)


def fit_linear(features: Floats, sets: Rated, penalties: Sequence[float] = PENALTIES) -> tuple[Floats, float]:
    """Fit the ridge regression on all nodules; return kernel and bias for features as they are."""
    scaler = StandardScaler().fit(features)
    fitted = RidgeCV(penalties).fit(scaler.transform(features), sets.rating, sample_weight=sets.readers.astype(float))
    kernel = np.asarray(fitted.coef_ / scaler.scale_, np.float32).astype(np.float64)
    return kernel, float(fitted.intercept_ - scaler.mean_ @ kernel)


def fit_calibration(rating: Floats, true_rating: Floats) -> dict[str, float]:
    """Fit P(mean rating of 3 or more) on cross-validated ratings.

    Returns
    -------
    dict of str to float
        ``intercept`` and ``slope`` of the logistic model.
    """
    fitted = LogisticRegression(C=1e6).fit(rating[:, None], true_rating >= MALIGNANT_AT)
    return {"intercept": float(fitted.intercept_[0]), "slope": float(fitted.coef_[0, 0])}
