"""Format numbers for pages: percentages, millimetres, runs of image numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from lidcflow.report.recommendation import Image, SliceRange

Fact = str | int | float | bool | None
WITH_UNIT = {"kvp": ("tube voltage", "kV"), "slice_thickness_mm": ("slice thickness", "mm")}


class Measured(Protocol):
    """An object with a size."""

    @property
    def diameter_mm(self) -> float:
        """Of the filter's circle."""

    @property
    def long_axis_mm(self) -> float | None:
        """Longest diameter of its outline."""

    @property
    def short_axis_mm(self) -> float | None:
        """Longest diameter perpendicular to that."""


class Judged(Protocol):
    """An object with a P(malignant)."""

    @property
    def malignancy(self) -> str | None:
        """The system that gave it."""

    @property
    def outside(self) -> tuple[str, ...]:
        """In what it is unlike what that system was trained on."""


def percent(probability: float) -> str:
    """Format a probability without claiming certainty.

    Examples
    --------
    >>> percent(0.874), percent(0.002), percent(0.999)
    ('87%', '<1%', '>99%')
    """
    if 0 < probability < 0.01:
        return "<1%"
    if 0.995 <= probability < 1:
        return ">99%"
    return f"{100 * probability:.0f}%"


def chance(probability: float) -> str:
    """Format a probability as a number, without claiming certainty.

    Examples
    --------
    >>> chance(0.874), chance(0.999), chance(1.0)
    ('0.87', '>0.99', '>0.99')
    """
    return ">0.99" if probability >= 0.995 else f"{probability:.2f}"


def mm(value_mm: float, digits: int = 1) -> str:
    """Return a length or position in mm as text, with a true minus sign and a blank that does not break.

    Examples
    --------
    >>> mm(-117.46)
    '−117.5\xa0mm'
    """
    return f"{number(value_mm, digits)}\xa0mm"


def number(value: float, digits: int = 1) -> str:
    """Format a number with a fixed count of decimals and a true minus sign."""
    return f"{value:z.{digits}f}".replace("-", "−")


def size(one: Measured) -> str:
    """Describe how large a finding is: the axes of its outline, or the diameter of the filter's circle."""
    if one.long_axis_mm is None or one.short_axis_mm is None:
        return mm(one.diameter_mm)
    return f"{number(one.long_axis_mm)}\xa0×\xa0{mm(one.short_axis_mm)}"


def cubic_mm(volume_mm3: float) -> str:
    """Return a volume in mm³ as text.

    Examples
    --------
    >>> cubic_mm(523.6)
    '524\xa0mm³'
    """
    return f"{number(volume_mm3, 0)}\xa0mm³"


def malignancy(one: Judged) -> str:
    """Name the system that gave a finding's P(malignant), and in what the finding is unlike what it was trained on."""
    unlike = f"; unlike its training in {join_words(one.outside)}" if one.outside else ""
    return f"{one.malignancy}{unlike}"


def slices(one: SliceRange) -> str:
    """Format the slices of a range: ``23`` or ``23–27``."""
    return _run(one.first_slice, one.last_slice)


def findings(ranks: Sequence[int]) -> str:
    """Name findings by their ranks.

    Examples
    --------
    >>> findings([1]), findings([1, 2, 4])
    ('finding 1', 'findings 1, 2 and 4')
    """
    return f"{'finding' if len(ranks) == 1 else 'findings'} {join_words([str(rank) for rank in ranks])}"


def join_words(words: Sequence[str]) -> str:
    """Join words with commas and a final "and".

    Examples
    --------
    >>> join_words(["1", "2", "3"])
    '1, 2 and 3'
    """
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)


def image_numbers(images: Iterable[Image]) -> str:
    """Format the numbers of source images as runs: frame numbers, or instance numbers where there are no frames.

    Examples
    --------
    >>> from lidcflow.report.recommendation import SourceImage
    >>> image_numbers([SourceImage(sop_instance_uid="1.2", instance_number=n, z_mm=0.0) for n in (9, 7, 8, 4)])
    '4, 7–9'
    """
    return runs({image.number for image in images if image.number is not None}) or "without numbers"


def runs(numbers: Iterable[int]) -> str:
    """Return numbers in order as runs.

    Examples
    --------
    >>> runs([9, 7, 8, 4])
    '4, 7–9'
    """
    return ", ".join(_run(first, last) for first, last in _runs(sorted(numbers)))


def image_word(images: Iterable[Image]) -> str:
    """Describe what the numbers of source images count.

    Examples
    --------
    >>> from lidcflow.report.recommendation import SourceImage
    >>> image_word([SourceImage(sop_instance_uid="1.2", instance_number=1, frame_number=7, z_mm=0.0)])
    'frames'
    """
    return "frames" if any(image.frame_number is not None for image in images) else "images"


def facts(acquisition: Mapping[str, Fact]) -> list[tuple[str, str]]:
    """Return what is known of an acquisition as labels and values, units beside the values.

    Examples
    --------
    >>> facts({"kvp": 120.0, "slice_thickness_mm": 2.5, "kernel": None, "contrast": True})
    [('tube voltage', '120\xa0kV'), ('slice thickness', '2.5\xa0mm'), ('contrast', 'yes')]
    """
    return [_fact(name, value) for name, value in acquisition.items() if value is not None and value != ""]


def _fact(name: str, value: Fact) -> tuple[str, str]:
    label, unit = WITH_UNIT.get(name, (name.replace("_", " "), ""))
    return label, f"{_plain(value)}\xa0{unit}" if unit else _plain(value)


def _plain(value: Fact) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}".replace("-", "−") if isinstance(value, float) else str(value)


def _runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for value in numbers:
        if runs and value == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], value)
        else:
            runs.append((value, value))
    return runs


def _run(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}–{last}"
