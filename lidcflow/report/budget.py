"""Choose the slices that fit a review budget: a few of each place to look at, the best places first."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence


def choose_slices(
    seeds: Iterable[int], eligible: Collection[int], order: Sequence[int], *, slices: int, ranges: int
) -> list[range]:
    """Choose slices around places to look at until a budget is used up.

    Every place gets its own slice first, best place first. What is left of the budget widens the ranges in turn, each
    by one eligible neighbour at a time. So a long range is narrowed around its places before another is left out, and
    a budget that is large enough takes every eligible slice that touches a place.

    Parameters
    ----------
    seeds : iterable of int
        Slices of the places, from 0, best first.
    eligible : collection of int
        Slices that may be recommended; they hold the seeds.
    order : sequence of int
        Of every slice of the volume, lowest first: which of two neighbours widens a range.
    slices, ranges : int
        Most slices in all ranges together, and most ranges.

    Returns
    -------
    list of range
        Runs of neighbouring slices, top first.

    Examples
    --------
    >>> choose_slices([7, 2], range(1, 9), [9, 5, 4, 6, 7, 8, 3, 1, 2], slices=4, ranges=2)
    [range(1, 3), range(7, 9)]
    """
    chosen: set[int] = set()
    placed: list[int] = []
    for seed in seeds:
        if len(chosen | {seed}) <= slices and len(runs_of(chosen | {seed})) <= ranges:
            chosen.add(seed)
            placed.append(seed)
    widened = True
    while widened:
        widened = False
        for seed in placed:
            if len(chosen) < slices and (beside := _neighbours(seed, chosen, eligible)):
                chosen.add(min(beside, key=lambda k: order[k]))
                widened = True
    return runs_of(chosen)


def runs_of(chosen: Iterable[int]) -> list[range]:
    """Join neighbours.

    Examples
    --------
    >>> runs_of({7, 2, 3})
    [range(2, 4), range(7, 8)]
    """
    runs: list[range] = []
    for k in sorted(chosen):
        if runs and runs[-1].stop == k:
            runs[-1] = range(runs[-1].start, k + 1)
        else:
            runs.append(range(k, k + 1))
    return runs


def _neighbours(seed: int, chosen: Collection[int], eligible: Collection[int]) -> list[int]:
    """List the eligible slices that touch the run of a seed."""
    run = next(run for run in runs_of(chosen) if seed in run)
    return [k for k in (run.start - 1, run.stop) if k in eligible]
