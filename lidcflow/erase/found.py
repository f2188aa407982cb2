"""Items found by an erasure in each place, so that interrupted attempts add up."""

from __future__ import annotations

from collections.abc import Mapping

Found = Mapping[str, Mapping[str, int]]
"""For each place, such as ``volumes``, the names of its items and how much each counts."""


def merge_found(*findings: Found) -> dict[str, dict[str, int]]:
    """Put together what several tries found: an item counts once, with the most that was found of it.

    Examples
    --------
    >>> merge_found({"reports": {"1.2": 1}}, {"reports": {"1.2": 1, "1.3": 1}})
    {'reports': {'1.2': 1, '1.3': 1}}
    """
    together: dict[str, dict[str, int]] = {}
    for found in findings:
        for place, items in found.items():
            counts = together.setdefault(place, {})
            for name, count in items.items():
                counts[name] = max(count, counts.get(name, 0))
    return together


def total(found: Found, place: str) -> int:
    """Return how much was found in a place."""
    return sum(found.get(place, {}).values())
