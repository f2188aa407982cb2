"""Sentences of documents: plain ASCII, which every character set of a source holds."""

from __future__ import annotations

from collections.abc import Iterable

from lidcflow.nodules.finding import Finding
from lidcflow.report import wording
from lidcflow.report.recommendation import Image, Recommendation, SliceRange, SliceReading, VolumeFacts
from lidcflow.report.told import Told, told_of

LONGEST_DESCRIPTION = 64
"""Characters of Series Description, VR LO (PS3.5 section 6.2)."""

_ASCII = str.maketrans({"–": "-", "−": "-", "\xa0": " ", "×": "x", "³": "3", "’": "'"})
_TITLES = {
    "ranges": "slices to look at",
    "nothing-above-threshold": "none above threshold",
    "not-evaluated": "not evaluated",
}


def ascii_of(text: str) -> str:
    """Write a text with the characters that all DICOM character sets share.

    Examples
    --------
    >>> ascii_of("slices 23–27")
    'slices 23-27'
    """
    return text.translate(_ASCII).encode("ascii", "replace").decode("ascii")


def series_description(said: Recommendation, series_number: int | None) -> str:
    """Name a document in the list of series, where viewers show nothing else of it."""
    name = "" if series_number is None else f" series {series_number},"
    title = "findings to look at" if said.findings else _TITLES[said.verdict]
    if told_of(said).rough:
        title = f"{title.removesuffix(' to look at')}, see warnings"
    full = f"lidcflow:{name} {title} (research use only)"
    return full if len(full) <= LONGEST_DESCRIPTION else series_description(said, None)


def description(said: Recommendation) -> str:
    """Describe which slices to look at and why, or why there is nothing to say, in a few lines."""
    return "\n".join(ascii_of(line) for line in _lines(said))


def finding_words(one: Finding, volume: VolumeFacts) -> str:
    """Describe where a finding is, in the numbers of the source and of the volume."""
    place = f"slice {one.slice_number} of {volume.slices}, z {wording.mm(one.z_mm)}"
    return ascii_of("\n".join([f"{_images([one]).capitalize()}, {_pixel(one)}; {place}", *_told(one)]))


def range_words(one: SliceRange, volume: VolumeFacts) -> str:
    """Describe where a range is, in the numbers of the source and of the volume."""
    word = "slice" if one.first_slice == one.last_slice else "slices"
    return _place_words(one, f"{word} {wording.slices(one)}", volume)


def slice_words(one: SliceReading, volume: VolumeFacts) -> str:
    """Describe where a slice is, in the numbers of the source and of the volume."""
    return _place_words(one, f"slice {one.slice_number}", volume)


def _place_words(one: SliceRange | SliceReading, slices: str, volume: VolumeFacts) -> str:
    z_mm = f"z {wording.number(one.z_top_mm)} to {wording.mm(one.z_bottom_mm)}"
    return ascii_of(f"{_images(one.source_images).capitalize()}; {slices} of {volume.slices}, {z_mm}")


def _lines(said: Recommendation) -> Iterable[str]:
    release = f"Read with release {said.release.name} version {said.release.version}"
    yield said.statement
    yield f"{release}, trained on synthetic series." if said.release.synthetic else f"{release}."
    told = told_of(said)
    yield from _first_lines(told)
    if said.reason:
        yield f"{told.title} ({said.reason.code}): {told.reason}."
        yield f"{told.caveat}. No image is recommended; the one referred to only names the series."
    elif said.ranges:
        yield from _finding_lines(said, told)
        yield from _range_lines(said, told)
    else:
        yield from _highest_lines(said, told)


def _first_lines(told: Told) -> Iterable[str]:
    """Describe what comes before the answer."""
    for notice in told.notices:
        yield f"{notice}."
    for sentence in told.warnings:
        yield f"Warning: {sentence}"
    if told.doubt:
        yield told.doubt


def _finding_lines(said: Recommendation, told: Told) -> Iterable[str]:
    if said.findings:
        count = "1 finding" if len(said.findings) == 1 else f"{len(said.findings)} findings, best first"
        yield f"To look at: {count}."
    for one in said.findings:
        odds = _odds(told, one.probability, one.malignant)
        yield f"{one.rank}. {_images([one])}, {_pixel(one)}: {_size(one)}, {odds}"


def _range_lines(said: Recommendation, told: Told) -> Iterable[str]:
    """Describe the ranges that hold no finding, and what the review budget leaves out."""
    ranges = [one for one in said.ranges if not one.findings]
    if ranges:
        count = "1 range of slices" if len(ranges) == 1 else f"{len(ranges)} ranges of slices, best first"
        yield f"{'Further to look at' if said.findings else 'To look at'}: {count}."
    for one in ranges:
        peak = f"peak at {_images(one.peak_source_images)}: {_odds(told, one.nodule_at_peak, one.malignant_at_peak)}"
        yield f"{one.rank}. {_images(one.source_images)}, {peak}"
    if said.ranges_left_out:
        yield f"Further ranges above the threshold, left out here: {said.ranges_left_out}."
    if said.slices_left_out:
        yield f"Further slices above the threshold, left out here: {said.slices_left_out}."


def _highest_lines(said: Recommendation, told: Told) -> Iterable[str]:
    threshold = wording.percent(said.release.threshold_nodule)
    yield f"{told.title} of {threshold} for P(nodule). {told.caveat}."
    yield "The highest slices:"
    for one in said.highest_slices:
        odds = _odds(told, one.probabilities.nodule, one.probabilities.malignant)
        yield f"{one.rank}. {_images(one.source_images)}: {odds}"


def _told(one: Finding) -> Iterable[str]:
    """Describe what stands for an outline, and what gave P(malignant)."""
    if one.circle:
        yield f"The filter's circle stands for an outline: {one.circle}."
    if one.malignancy:
        yield f"P(malignant) by {wording.malignancy(one)}."


def _pixel(one: Finding) -> str:
    return f"row {wording.number(one.row, 0)}, column {wording.number(one.column, 0)}"


def _size(one: Finding) -> str:
    return wording.size(one)


def _odds(told: Told, nodule: float, malignant: float | None) -> str:
    odds = f"P(nodule) {told.percent(nodule)}"
    return odds if malignant is None else f"{odds}, P(malignant) {told.percent(malignant)}"


def _images(images: Iterable[Image]) -> str:
    images = tuple(images)
    word = wording.image_word(images)
    return f"{word if len(images) > 1 else word.removesuffix('s')} {wording.image_numbers(images)}"
