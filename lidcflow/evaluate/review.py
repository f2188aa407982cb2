"""Figures of a reader's work: nodules seen in the first N slices, and slices that need no look."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lidcflow.evaluate.truth import Finding
from lidcflow.stats.bootstrap import Floats, estimate, ratio, sums_by_patient
from lidcflow.stats.estimate import Estimate
from lidcflow.stats.held_out import uniform_every_k
from lidcflow.stats.metrics import highest_slices

REVIEWED = (1, 2, 5, 10, 20)
"""Slices of a study that a reader looks at."""

WANTED_SENSITIVITY = 0.95
ROUNDING = 1e-9

Found = NDArray[np.bool_]


def found_by_rank(scores: Floats, findings: Sequence[Sequence[Finding]]) -> Found:
    """Count for every nodule after how many slices it has been seen, slices taken from the highest score down.

    Parameters
    ----------
    scores : (studies, slices) array
        Of equal ones, the upper slice comes first.
    findings : (studies,) sequence
        Nodules of each study.

    Returns
    -------
    (nodules, slices) array of bool
        Whether the first 1, 2, ... slices show the nodule; nodules in the order of the studies.
    """
    best = [
        min(_ranks(of_study)[list(one.slices)]) for of_study, nodules in _pairs(scores, findings) for one in nodules
    ]
    return np.array(best, dtype=np.int64).reshape(-1, 1) < np.arange(1, scores.shape[1] + 1)


def found_at_even_steps(n_slices: int, findings: Sequence[Sequence[Finding]]) -> Found:
    """Count the same for slices at even steps; what is seen in n of them is not always seen in n + 1."""
    reviewed = [set(uniform_every_k(n_slices, n).tolist()) for n in range(1, n_slices + 1)]
    found = [[not one.slices.isdisjoint(slices) for slices in reviewed] for nodules in findings for one in nodules]
    return np.array(found, dtype=bool).reshape(-1, n_slices)


def review_figures(found: Found, patients: NDArray[np.integer], draws: Floats) -> dict[str, Estimate]:
    """Compute nodule sensitivity at N slices reviewed, and the share of slices spared at 95% sensitivity.

    Parameters
    ----------
    found : (nodules, slices) array of bool
        From `found_by_rank` or `found_at_even_steps`.
    patients : (nodules,) array of int
        Patient of each nodule.
    draws : (1 + resamples, patients) array
        From `draw_patients`.

    Returns
    -------
    dict of str to Estimate
        ``sensitivity_at_N``; ``spared_at_95``: the same N for all studies, the smallest that is enough.
    """
    n_slices = found.shape[1]
    seen = draws @ sums_by_patient(found.astype(np.float64), patients, draws.shape[1])
    total = draws @ sums_by_patient(np.ones(len(found)), patients, draws.shape[1])
    sensitivity = ratio(seen, total[:, None] * np.ones(n_slices))
    enough = (sensitivity >= WANTED_SENSITIVITY - ROUNDING).argmax(axis=1) + 1
    spared = np.where(total > 0, 1 - enough / n_slices, np.nan)
    figures = {f"sensitivity_at_{n}": estimate(sensitivity[:, n - 1]) for n in REVIEWED if n <= n_slices}
    return figures | {"spared_at_95": estimate(spared)}


def patients_of_nodules(patients: NDArray[np.integer], findings: Sequence[Sequence[Finding]]) -> NDArray[np.int64]:
    """Return the patient of each nodule, in the order of the studies."""
    return np.repeat(patients, [len(nodules) for nodules in findings]).astype(np.int64)


def _pairs(scores: Floats, findings: Sequence[Sequence[Finding]]) -> list[tuple[Floats, Sequence[Finding]]]:
    return [(of_study, nodules) for of_study, nodules in zip(scores, findings, strict=True) if nodules]


def _ranks(scores: Floats) -> NDArray[np.int64]:
    ranks = np.empty(len(scores), dtype=np.int64)
    ranks[highest_slices(scores, len(scores))] = np.arange(len(scores))
    return ranks
