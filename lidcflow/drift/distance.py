"""Distance of two groups of patients in one quantity, and the distance expected by chance alone.

A patient is a row of shares over the values that a quantity can take: one value for most quantities, a histogram for
voxels and scores. Ordered values are compared by the Wasserstein distance of the mean rows, in the quantity's own
unit; words by their total variation. Both are the L1 norm of a difference of means, so that one permutation test
serves all: it draws anew which patients are the recent ones. Slices and series of a patient never count as
independent.

References
----------
Phipson & Smyth, "Permutation p-values should never be zero", Stat. Appl. Genet. Mol. Biol. 9 (2010).
Ramdas, García Trillos & Cuturi, "On Wasserstein two-sample testing", Entropy 19 (2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

SMALLEST = 0.2
"""A shift below this share of what parts one patient of the reference from the rest is no drift, however sure."""

DRAWS_PER_TAIL = 10
"""Draws are as many as put this number of them beyond the limit: fewer would make it a matter of luck."""

_BATCH = 500
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Apart:
    """Two groups compared.

    Parameters
    ----------
    distance : float
        Between their means: in the unit of ordered values, or the share of patients that changed their word.
    limit : float
        What counts as drift lies above it.
    p : float
        Share of the permutations that are as far apart, this one among them.
    """

    distance: float
    limit: float
    p: float

    @property
    def drifted(self) -> bool:
        """Whether the distance lies beyond the limit by more than rounding."""
        return self.distance > self.limit * (1 + _ROUNDING) + _ROUNDING


def coordinates(rows: NDArray[np.floating], support: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Place patients so that the L1 distance of two means is the distance of the two groups.

    Parameters
    ----------
    rows : (patients, values) array
        Shares of each value; a row sums to 1.
    support : (values,) array, or None
        The values, ascending; None for words.

    Examples
    --------
    >>> coordinates(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([1.25, 2.5]))
    array([[1.25],
           [0.  ]])
    """
    if support is None:
        return np.asarray(rows, dtype=np.float64) / 2
    return np.cumsum(rows, axis=1, dtype=np.float64)[:, :-1] * np.diff(support)


def compare_groups(
    reference: NDArray[np.float64], now: NDArray[np.float64], *, false_alarms: float, seed: int = 0
) -> Apart:
    """Compare two groups of patients.

    Parameters
    ----------
    reference, now : (patients, d) arrays
        From `coordinates`.
    false_alarms : float
        Probability that two groups of the same population lie further apart than the limit.
    seed : int
        Of the permutations.

    Raises
    ------
    ValueError
        If a group is empty.
    """
    if not len(reference) or not len(now):
        raise ValueError(f"compare: both groups must hold a patient, got {len(reference)} and {len(now)}")
    distance = float(np.abs(reference.mean(axis=0) - now.mean(axis=0)).sum())
    draws = int(np.ceil(DRAWS_PER_TAIL / false_alarms)) - 1
    drawn = _permuted(np.concatenate([reference, now]), len(now), draws, seed)
    as_far = int((drawn >= distance * (1 - _ROUNDING) - _ROUNDING).sum())
    by_chance = float(np.sort(drawn)[-int(false_alarms * (draws + 1) + 1e-9)])
    return Apart(distance, max(by_chance, SMALLEST * spread(reference)), (1 + as_far) / (1 + draws))


def spread(patients: NDArray[np.float64]) -> float:
    """Return the mean distance of a patient from the mean of all.

    Examples
    --------
    >>> spread(np.array([[0.0], [1.0], [5.0]]))
    2.0
    """
    return float(np.abs(patients - patients.mean(axis=0)).sum(axis=1).mean())


def _permuted(patients: NDArray[np.float64], n_now: int, draws: int, seed: int) -> NDArray[np.float64]:
    """Draw which patients are the recent ones, again and again, and measure."""
    total = patients.sum(axis=0)
    chosen = _choices(len(patients), n_now, draws, seed)
    batches = (chosen[start : start + _BATCH] for start in range(0, draws, _BATCH))
    return np.concatenate([_of_draws(patients, total, batch, n_now) for batch in batches])


@lru_cache(maxsize=2)
def _choices(n: int, n_now: int, draws: int, seed: int) -> NDArray[np.bool_]:
    """Choose `n_now` of `n` patients in each row; most quantities of a check share the choices."""
    rng, chosen = np.random.default_rng(seed), np.zeros((draws, n), dtype=np.bool_)
    for start in range(0, draws, _BATCH):
        batch = chosen[start : start + _BATCH]
        first = np.argpartition(rng.random(batch.shape, dtype=np.float32), n_now - 1, axis=1)[:, :n_now]
        np.put_along_axis(batch, first, True, axis=1)
    return chosen


def _of_draws(
    patients: NDArray[np.float64], total: NDArray[np.float64], chosen: NDArray[np.bool_], n_now: int
) -> NDArray[np.float64]:
    inside = chosen.astype(np.float64) @ patients
    apart = inside / n_now - (total - inside) / (len(patients) - n_now)
    return np.asarray(np.abs(apart).sum(axis=1))
