"""Join the parts of a concatenation: one multi-frame object that was split into several instances."""

from __future__ import annotations

from collections.abc import Sequence

from lidcflow.dicom.records import VerdictReason
from lidcflow.headers.checks import series_refusal
from lidcflow.headers.header import Header


def are_parts(objects: Sequence[Header]) -> bool:
    """Return whether multi-frame objects are the parts of one concatenation.

    Parameters
    ----------
    objects : sequence of Header
        Multi-frame objects of one series, at least one.
    """
    uids = {header.facts.part.concatenation_uid if header.facts.part else None for header in objects}
    return len(uids) == 1 and None not in uids


def ordered_parts(headers: Sequence[Header], objects: Sequence[Header]) -> list[Header]:
    """Return the parts of a concatenation in their order; an object that is no part is the only one.

    Parameters
    ----------
    headers : sequence of Header
        All files of the series.
    objects : sequence of Header
        One multi-frame object, or the parts of one concatenation.

    Raises
    ------
    SeriesRefused
        If a part is lacking, or two parts have one number.

    References
    ----------
    DICOM PS3.3 C.7.6.16.2.2.4, Concatenations.
    """
    parts = [header.facts.part for header in objects if header.facts.part]
    if not parts:
        return list(objects)
    numbers = [part.number or 0 for part in parts]
    total = max([*numbers, *(part.total or 0 for part in parts)])
    if sorted(numbers) != list(range(1, total + 1)):
        lacking = sorted({*range(1, total + 1)} - {*numbers})
        found = f"{len(numbers)} of {total} parts (InConcatenationNumber {_listed(sorted(numbers))})"
        way_out = f"find part {_listed(lacking)}" if lacking else "export the series again"
        sentence = f"all parts of a concatenation must be there, each once, got {found}; {way_out}"
        raise series_refusal(headers, VerdictReason.INCOMPLETE, sentence)
    return [header for _, header in sorted(zip(numbers, objects, strict=True), key=lambda numbered: numbered[0])]


def _listed(numbers: Sequence[int]) -> str:
    """Write the first few of some numbers."""
    return ", ".join(map(str, numbers[:8])) + (" ..." if len(numbers) > 8 else "")
