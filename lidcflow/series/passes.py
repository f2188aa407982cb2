"""Separate the passes of a scanner that share a series, so that they are never blended (DICOM PS3.3 C.7.4.1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lidcflow.dicom.records import VerdictReason
from lidcflow.headers.checks import series_refusal
from lidcflow.headers.header import Header
from lidcflow.series.stacks import LEAST_OF_A_STACK, Labels, codes_of, is_whole, lie_in_each_other, runs_of

SEVERAL = "several-acquisitions"
"""Flag of passes one after the other along z."""

SAME_THICKNESS = 1.1
"""Slice thicknesses that differ by less are one: some scanners write what they measured."""

SHOWN_VALUES = 4
IN_ORDER_SHARE = 0.9
"""Share of slices that must lie in long runs for an order to separate passes."""


@dataclass(frozen=True)
class PassFacts:
    """Properties that may distinguish the passes of a scanner.

    Parameters
    ----------
    name : str
        Attribute.
    labels : sequence
        One for each slice; None where it tells nothing.
    shown : bool
        Whether the labels are the attribute's values.
    """

    name: str
    labels: Labels
    shown: bool = True


def of_one_pass(images: Sequence[Header], z_mm: NDArray[np.float64]) -> list[int]:
    """Choose the slices of one pass, or of passes one after the other; refuse passes that lie in each other.

    Parameters
    ----------
    images : sequence of Header
        Slices, sorted by position.
    z_mm : (slices,) array
        Positions along the normal, descending.

    Returns
    -------
    list of int
        Indices of the slices that are kept: where two passes overlap by a single slice, it is left out.

    Raises
    ------
    SeriesRefused
        If passes interleave or overlap.
    """
    for told in _all_told(images, z_mm):
        codes = codes_of(told.labels)
        mixed = lie_in_each_other(z_mm, codes, stated=told.shown)
        if mixed is None:
            continue
        without = _without_the_overlap(z_mm, codes, mixed)
        if without is None:
            raise _mixed(images, z_mm, told, mixed)
        return without
    return list(range(len(images)))


def differing_attribute(images: Sequence[Header]) -> str | None:
    """Name the attribute, with its values, in which images at one position are of different acquisitions."""
    for name, value_of in (*_ATTRIBUTES.items(), ("AcquisitionTime", _acquisition_time)):
        values = list(dict.fromkeys(value_of(image) for image in images))
        if len(values) > 1 and (None not in values or name == "AcquisitionNumber"):
            shown = "" if name == "AcquisitionTime" else f" {' and '.join(map(_text, values[:SHOWN_VALUES]))}"
            return f"values of {name}{shown}"
    return None


def pass_flags(images: Sequence[Header]) -> list[str]:
    """Return the flag of a series with several acquisitions, each of more than strays."""
    counts = Counter(image.facts.acquisition_number for image in images)
    return [SEVERAL] if sum(count >= LEAST_OF_A_STACK for count in counts.values()) > 1 else []


def _all_told(images: Sequence[Header], z_mm: NDArray[np.float64]) -> Iterator[PassFacts]:
    """Yield what may separate passes: each attribute with several values, then the order of slices."""
    if len({id(image.facts) for image in images}) > 1:
        for name, value_of in _ATTRIBUTES.items():
            labels = [value_of(image) for image in images]
            if len({*labels} - {None}) > 1:
                yield PassFacts(name, _thicknesses(labels) if name == "SliceThickness" else labels)
    times = [image.acquisition_time_s for image in images]
    if 1 < len({*times} - {None}) <= len(images) / LEAST_OF_A_STACK:
        yield PassFacts("AcquisitionTime", times, shown=False)
    numbers = _numbers(images)
    yield PassFacts("InstanceNumber", _occurrences(numbers), shown=False)
    yield PassFacts("InstanceNumber", _runs(numbers, z_mm), shown=False)
    yield PassFacts("AcquisitionTime", _runs(times, z_mm), shown=False)


_ATTRIBUTES: dict[str, Callable[[Header], Hashable]] = {
    "AcquisitionNumber": lambda image: image.facts.acquisition_number,
    "TemporalPositionIdentifier": lambda image: image.facts.temporal_position,
    "SliceThickness": lambda image: image.facts.acquisition.slice_thickness_mm,
    "KVP": lambda image: image.facts.acquisition.kvp,
    "ContrastBolusAgent": lambda image: image.facts.acquisition.contrast,
}


def _acquisition_time(image: Header) -> Hashable:
    return image.acquisition_time_s


def _thicknesses(labels: Labels) -> Labels:
    """Take thicknesses that hardly differ for one."""
    values = sorted(value for value in {*labels} if isinstance(value, float) and value > 0)
    same: dict[Hashable, Hashable] = {}
    for value in values:
        below = next(reversed(same), None)
        near = isinstance(below, float) and value <= SAME_THICKNESS * below
        same[value] = same[below] if near else value
    return [same.get(label) for label in labels]


def _numbers(images: Sequence[Header]) -> list[float | None]:
    """Return what counts the slices: InstanceNumber, of frames their number, part after part."""
    if images[0].frame_number is None:
        return [image.instance_number for image in images]
    parts = [image.facts.part.number or 0 if image.facts.part else 0 for image in images]
    return [part * 1e6 + (image.frame_number or 0) for part, image in zip(parts, images, strict=True)]


def _occurrences(numbers: Sequence[float | None]) -> list[int]:
    """Return how often each number has come before: two passes that are both counted from 1 have every number twice."""
    seen: Counter[float | None] = Counter()
    found = []
    for number in numbers:
        found.append(seen[number])
        seen[number] += 1
    return found


def _runs(numbers: Sequence[float | None], z_mm: NDArray[np.float64]) -> list[int | None]:
    """Return in which long run along z each slice lies when slices are put in the order of their numbers.

    Slices in no order at all, as copies leave them, have short runs, which tell nothing.
    """
    nothing: list[int | None] = [None] * len(numbers)
    if any(number is None for number in numbers):
        return nothing
    order = np.argsort(np.array(numbers, np.float64), kind="stable")
    down = np.diff(z_mm[order]) < 0
    edges = [0, *(np.flatnonzero(np.diff(down)) + 1).tolist(), len(down)]
    found = list(nothing)
    for start, stop in pairwise(edges):
        if stop - start >= LEAST_OF_A_STACK - 1:
            for at in order[start : stop + 1].tolist():
                found[at] = start
    in_runs = len(found) - found.count(None)
    return found if in_runs >= IN_ORDER_SHARE * len(found) else nothing


def _without_the_overlap(
    z_mm: NDArray[np.float64], codes: NDArray[np.intp], mixed: NDArray[np.bool_]
) -> list[int] | None:
    """Leave out the one slice by which two passes overlap; None when it is more, or the rest has a gap."""
    places = np.flatnonzero(mixed)
    one_each = runs_of(codes[mixed]) == len(np.unique(codes[mixed])) + 2
    if not one_each:
        return None
    ends = np.flatnonzero(np.diff(codes[mixed])) + 1
    for start, stop in pairwise(ends.tolist()):
        kept = np.delete(np.arange(len(z_mm)), places[start])
        if stop - start == 1 and lie_in_each_other(z_mm[kept], codes[kept]) is None and is_whole(z_mm[kept]):
            return [int(i) for i in kept]
    return None


def _mixed(images: Sequence[Header], z_mm: NDArray[np.float64], told: PassFacts, mixed: NDArray[np.bool_]) -> Exception:
    places = np.flatnonzero(mixed).tolist()
    own = [told.labels[i] for i in places]
    other = next(i for i in places if told.labels[i] != own[0])
    counts = Counter(own)
    if told.shown:
        listed = [f"{_text(value)} on {count}" for value, count in counts.most_common(SHOWN_VALUES)]
        found = f"{told.name} {', '.join(listed)}{' ...' if len(counts) > SHOWN_VALUES else ''} of {len(images)} slices"
    else:
        found = f"{len(counts)} passes of {', '.join(map(str, counts.values()))} slices by their {told.name}"
    sentence = (
        "slices must be of one acquisition, or of several one after the other along z, "
        f"got {found} that lie between each other, the first at z = {z_mm[other]:.2f} mm in instance "
        f"{images[other].sop_instance_uid}; separate the acquisitions at the source"
    )
    return series_refusal(images, VerdictReason.MIXED_ACQUISITIONS, sentence)


def _text(value: Hashable) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
