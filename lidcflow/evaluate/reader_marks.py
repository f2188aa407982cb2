"""Summarize readers' marks on a release: ranges judged right or wrong, and slices that no range contained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from lidcflow.report.marks import Mark, marks_in_force
from lidcflow.stats.bootstrap import RESAMPLES, draw_patients, estimate, ratio, sums_by_patient
from lidcflow.stats.estimate import Estimate, Record

SEED = 0

HONEST = (
    "Feedback covers the studies that readers chose to look at, and the ranges that they chose to judge: no random "
    "sample, and readers saw what the release said before they judged.",
    "The share of ranges judged right counts each range once, by the majority of its readers; where they are divided "
    "it does not count. Its 95% percentile interval is by bootstrap over studies.",
    "Added slices are nodules that no recommended range showed. Nobody counted the nodules that there are: they give "
    "no sensitivity, and slices that no reader looked at are not known to be empty.",
)

SeriesMarks = Mapping[str, Sequence[Mark]]


class FeedbackGroup(Record):
    """Marks on the readings of one verdict, or of all.

    Parameters
    ----------
    readings, marked : int
        Reports of the release in the workspace; those that readers marked.
    right, wrong, divided : int
        Ranges by the majority of their readers.
    share_right : Estimate
        Of the ranges judged right or wrong; None without any.
    missed_slices, missed_runs : int
        Added slices outside of every range, and runs of neighbours among them: about a nodule each.
    missed_readings : int
        Readings with such a slice.
    confirmed_slices : int
        Slices that readers named although a range has them already.
    """

    verdict: str
    readings: int
    marked: int
    right: int
    wrong: int
    divided: int
    share_right: Estimate
    missed_slices: int
    missed_runs: int
    missed_readings: int
    confirmed_slices: int


class FeedbackFigures(Record):
    """A summary of readers' marks on a release, with its limits."""

    readers: int
    groups: tuple[FeedbackGroup, ...]
    notes: tuple[str, ...] = HONEST


def feedback_figures(
    histories: SeriesMarks, studies: Mapping[str, str], readings: Mapping[str, int], *, resamples: int = RESAMPLES
) -> FeedbackFigures:
    """Sum up the marks on one release.

    Parameters
    ----------
    histories : mapping of str to sequence of Mark
        For each series all marks on what the release said of it, oldest first.
    studies : mapping of str to str
        Study of each series: what the bootstrap draws.
    readings : mapping of str to int
        Reports of the release for each verdict.
    resamples : int
        Draws of the bootstrap.
    """
    held = {series: marks for series, history in histories.items() if (marks := marks_in_force(history))}
    groups = [_group("all", held, studies, sum(readings.values()), resamples)]
    for verdict in ("ranges", "nothing-above-threshold"):
        chosen = {series: marks for series, marks in held.items() if marks[0].verdict == verdict}
        groups.append(_group(verdict, chosen, studies, readings.get(verdict, 0), resamples))
    readers = {mark.reader for marks in held.values() for mark in marks}
    return FeedbackFigures(readers=len(readers), groups=tuple(groups))


def _group(verdict: str, held: SeriesMarks, studies: Mapping[str, str], readings: int, resamples: int) -> FeedbackGroup:
    judged = {series: _majorities(marks) for series, marks in held.items()}
    votes = Counter(vote for each in judged.values() for vote in each)
    missed = {series: _added(marks, in_range=False) for series, marks in held.items()}
    return FeedbackGroup(
        verdict=verdict,
        readings=readings,
        marked=len(held),
        right=votes[1],
        wrong=votes[-1],
        divided=votes[0],
        share_right=_share_right(judged, studies, resamples),
        missed_slices=sum(map(len, missed.values())),
        missed_runs=sum(map(_runs, missed.values())),
        missed_readings=sum(map(bool, missed.values())),
        confirmed_slices=sum(len(_added(marks, in_range=True)) for marks in held.values()),
    )


def _majorities(marks: Sequence[Mark]) -> list[int]:
    """Return for each judged range 1 where most readers say right, -1 for wrong, 0 where they are divided."""
    votes: Counter[tuple[int, int]] = Counter()
    for mark in marks:
        if mark.judges:
            votes[mark.first_slice, mark.last_slice] += 1 if mark.says == "right" else -1
    return [int(np.sign(vote)) for vote in votes.values()]


def _added(marks: Sequence[Mark], *, in_range: bool) -> list[int]:
    return sorted({mark.first_slice for mark in marks if not mark.judges and mark.in_range == in_range})


def _runs(slices: Sequence[int]) -> int:
    return bool(slices) + sum(after > before + 1 for before, after in pairwise(slices))


def _share_right(judged: Mapping[str, Sequence[int]], studies: Mapping[str, str], resamples: int) -> Estimate:
    of_study = {series: studies[series] for series, votes in judged.items() if any(votes)}
    names = sorted(set(of_study.values()))
    if not names:
        return Estimate(value=None)
    counts = np.array([[judged[series].count(1), judged[series].count(-1)] for series in of_study])
    places = np.array([names.index(study) for study in of_study.values()])
    draws = draw_patients(len(names), seed=SEED, resamples=resamples)
    right, wrong = (draws @ sums_by_patient(counts, places, len(names))).T
    return estimate(ratio(right, right + wrong))
