"""Figures of P(malignant) over nodules in three designs, with intervals over patients, beside size alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lidcflow.stats.bootstrap import draw_patients, estimate, ranking_draws, ratio, sums_by_patient
from lidcflow.stats.estimate import Estimate, Record

Floats = NDArray[np.float64]

DESIGNS = {"S1 vs S45": (1.0, 4.0), "S12 vs S45": (2.0, 4.0), "3 and more": (np.nextafter(3.0, 0.0), 3.0)}
"""Highest mean rating of the benign and lowest of the malignant; nodules between are left out."""

THRESHOLD = 0.5
RESAMPLES = 1000

POSITIVE = 2
"""Label of malignant nodules for `ranking_draws`, which counts three classes."""


class DesignFigures(Record):
    """Figures of a system in one design.

    Attributes
    ----------
    design : str
    benign, malignant, patients : int
    auroc : Estimate
    accuracy, sensitivity, specificity, precision : Estimate, optional
        At P(malignant) of 0.5; none for a system whose score is no probability.
    size_auroc : dict of str to Estimate
        Of size alone, by the name of the measure.
    above_size : dict of str to Estimate
        AUROC less that of size alone, paired over patients.
    """

    design: str
    benign: int
    malignant: int
    patients: int
    auroc: Estimate
    accuracy: Estimate | None = None
    sensitivity: Estimate | None = None
    specificity: Estimate | None = None
    precision: Estimate | None = None
    size_auroc: dict[str, Estimate] = Field(default_factory=dict)
    above_size: dict[str, Estimate] = Field(default_factory=dict)


def chosen_for(design: str, rating: Floats) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which nodules a design takes, and which of all are malignant.

    Examples
    --------
    >>> [part.tolist() for part in chosen_for("S12 vs S45", np.array([1.5, 3.0, 4.0]))]
    [[True, False, True], [False, False, True]]
    """
    benign, malignant = DESIGNS[design]
    return (rating <= benign) | (rating >= malignant), rating >= malignant


def malignancy_figures(
    score: Floats,
    rating: Floats,
    patients: NDArray[np.str_],
    sizes: Mapping[str, Floats],
    *,
    probability: bool = True,
    seed: int = 0,
) -> tuple[DesignFigures, ...]:
    """Return the figures of a score in each design that has both kinds of nodules.

    Parameters
    ----------
    score : (nodules,) array
        P(malignant), or any score that rises with it.
    rating : (nodules,) array
        Mean rating.
    patients : (nodules,) array of str
    sizes : mapping of str to (nodules,) array
        Measures of size; one with NaN is left out.
    probability : bool
        Whether the score is P(malignant).
    seed : int
        Of the bootstrap.
    """
    known = {name: size for name, size in sizes.items() if np.isfinite(size).all()}
    found = []
    for design in DESIGNS:
        chosen, malignant = chosen_for(design, rating)
        if 0 < (malignant & chosen).sum() < chosen.sum():
            part = {name: size[chosen] for name, size in known.items()}
            of = malignant[chosen], patients[chosen], part
            found.append(figures_in_design(design, score[chosen], *of, probability=probability, seed=seed))
    return tuple(found)


def figures_in_design(
    design: str,
    score: Floats,
    malignant: NDArray[np.bool_],
    patients: NDArray[np.str_],
    sizes: Mapping[str, Floats],
    *,
    probability: bool = True,
    seed: int = 0,
) -> DesignFigures:
    """Return the figures of a score over the nodules of one design.

    Parameters
    ----------
    design : str
    score, malignant, patients : (nodules,) arrays
        Of the nodules that the design takes, of both kinds.
    sizes : mapping of str to (nodules,) array
        Measures of size.
    probability : bool
        Whether the score is P(malignant).
    seed : int
        Of the bootstrap.
    """
    names, number = np.unique(patients, return_inverse=True)
    draws = draw_patients(len(names), seed=seed, resamples=RESAMPLES)
    auroc = auroc_draws(score, malignant, number, draws)
    of_size = {name: auroc_draws(size, malignant, number, draws) for name, size in sizes.items()}
    at_threshold = _at_threshold(score >= THRESHOLD, malignant, number, draws) if probability else {}
    return DesignFigures(
        design=design,
        benign=int((~malignant).sum()),
        malignant=int(malignant.sum()),
        patients=len(names),
        auroc=estimate(auroc),
        **at_threshold,
        size_auroc={name: estimate(values) for name, values in of_size.items()},
        above_size={name: estimate(auroc - values) for name, values in of_size.items()},
    )


def auroc_draws(score: Floats, malignant: NDArray[np.bool_], number: NDArray[np.integer], draws: Floats) -> Floats:
    """Return the AUROC in each draw of patients, row 0 being that of the sample.

    Parameters
    ----------
    score, malignant : (nodules,) arrays
    number : (nodules,) array of int
        Patient of each, from 0.
    draws : (1 + resamples, patients) array
        From `lidcflow.stats.bootstrap.draw_patients`.
    """
    labels = np.where(malignant, POSITIVE, 0)
    values = ranking_draws(score, labels, number, draws, np.ones((len(draws), 3)), positive=(1, POSITIVE))[0]
    return np.asarray(values, np.float64)


def auroc_above(
    score: Floats, other: Floats, malignant: NDArray[np.bool_], patients: NDArray[np.str_], *, seed: int = 0
) -> Estimate:
    """Return the AUROC of a score less that of another, paired over patients.

    Parameters
    ----------
    score, other, malignant, patients : (nodules,) arrays
        Of the nodules of one design, of both kinds.
    seed : int
        Of the bootstrap.
    """
    names, number = np.unique(patients, return_inverse=True)
    draws = draw_patients(len(names), seed=seed, resamples=RESAMPLES)
    return estimate(auroc_draws(score, malignant, number, draws) - auroc_draws(other, malignant, number, draws))


def _at_threshold(
    said: NDArray[np.bool_], malignant: NDArray[np.bool_], number: NDArray[np.integer], draws: Floats
) -> dict[str, Estimate]:
    def share(hits: NDArray[np.bool_], of: NDArray[np.bool_]) -> Estimate:
        sums = draws @ sums_by_patient(np.column_stack([hits & of, of]), number, draws.shape[1])
        return estimate(ratio(sums[:, 0], sums[:, 1]))

    everything = np.ones(len(said), bool)
    return {
        "accuracy": share(said == malignant, everything),
        "sensitivity": share(said, malignant),
        "specificity": share(~said, ~malignant),
        "precision": share(malignant, said),
    }
