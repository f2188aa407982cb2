"""Labels from readers' marks on a recommendation, where the marks show that the whole series was read.

A mark is given beside what a release recommends, slice by slice. A series is labelled from marks only if its reading is
whole: every recommended range was judged, what was judged a nodule has a class, and nothing contradicts it. Slices that
nobody named then hold no nodule, as in every other source.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lidcflow.labels.readings import CLASS_RATINGS, Origin, Reading
from lidcflow.report.marks import FILE, Mark, about_recommendation, marks_in_force
from lidcflow.report.recommendation import Recommendation, SliceRange

KIND = "marks"
"""Name of the origin of annotations from marks."""


def why_not_read(said: Recommendation, marks: Sequence[Mark]) -> str:
    """Return why marks do not make a whole reading of a series; empty if they do.

    Parameters
    ----------
    said : Recommendation
        What readers saw.
    marks : sequence of Mark
        Those in force about it, from `marks_of_reading`.

    Returns
    -------
    str
        A clause, or an empty string.
    """
    named = [mark for mark in marks if not mark.judges]
    if any(mark.says == "nodule" for mark in named):
        return "every added slice must be benign or malignant, got one without a class"
    if not said.ranges and not named:
        return "a reading without ranges must have an added slice, got none"
    for one in said.ranges:
        if reason := _why_not_judged(one, marks, {mark.first_slice for mark in named}):
            return reason
    return ""


def marks_of_reading(said: Recommendation, history: Iterable[Mark]) -> list[Mark]:
    """Return the marks in force about exactly this recommendation."""
    return about_recommendation(marks_in_force(history), said)


def readings_of_marks(said: Recommendation, marks: Sequence[Mark], edges_mm: NDArray[np.float64]) -> list[Reading]:
    """Turn the classes of slices into readings: one for each reader and run of neighbouring slices of one class.

    Parameters
    ----------
    said, marks
        As for `why_not_read`, which gave no reason.
    edges_mm : (slices + 1,) array of float64
        Edges of the volume's slabs, falling.

    Returns
    -------
    list of Reading
        With z ranges; a class counts as the rating at its end.
    """
    slices: dict[tuple[str, str], list[int]] = defaultdict(list)
    for mark in marks:
        if not mark.judges:
            slices[mark.reader, mark.says].append(mark.first_slice)
    return [
        Reading(
            series_instance_uid=said.series_instance_uid,
            malignancy=CLASS_RATINGS[says],
            origin=Origin(KIND, FILE, f"slices {first} to {last}"),
            z_range_mm=(float(edges_mm[last]), float(edges_mm[first - 1])),
            reader=reader,
        )
        for (reader, says), numbers in slices.items()
        for first, last in _runs(sorted(numbers))
    ]


def _why_not_judged(one: SliceRange, marks: Sequence[Mark], named: set[int]) -> str:
    """Return why a range is not judged in one way; empty if it is."""
    called = f"slices {one.first_slice} to {one.last_slice}"
    votes = [
        1 if mark.says == "right" else -1
        for mark in marks
        if mark.judges and (mark.first_slice, mark.last_slice) == (one.first_slice, one.last_slice)
    ]
    if not votes:
        return f"every range must be judged, got none for {called}"
    if not sum(votes):
        return f"readers must agree on each range, got as many right as wrong for {called}"
    inside = named & set(range(one.first_slice, one.last_slice + 1))
    if sum(votes) > 0 and not inside:
        return f"a range judged right must have a slice with a class, got none in {called}"
    if sum(votes) < 0 and inside:
        return f"a range judged wrong must have no slice with a class, got one in {called}"
    return ""


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the first and last of each run of neighbours in rising numbers."""
    breaks = [i for i, (before, after) in enumerate(pairwise(numbers), start=1) if after != before + 1]
    for start, stop in pairwise([0, *breaks, len(numbers)]):
        yield numbers[start], numbers[stop - 1]
