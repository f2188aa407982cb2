"""Width of the small pictures through a finding."""

from __future__ import annotations

from lidcflow.nodules.finding import Finding
from lidcflow.nodules.patch_shape import PATCH_PIXEL_MM, PATCH_PIXELS

NARROW, WIDE = range(len(PATCH_PIXEL_MM))

WIDE_FROM_MM = 0.7 * PATCH_PIXELS * PATCH_PIXEL_MM[NARROW]
"""Diameter from which a finding fills too much of a narrow patch."""


def width_of(found: Finding) -> int:
    """Return which of the widths of patches shows a finding."""
    return WIDE if found.diameter_mm >= WIDE_FROM_MM else NARROW


def plane_mm(found: Finding) -> float:
    """Return width and height in mm of the planes that show a finding, its centre in their middle."""
    return PATCH_PIXELS * PATCH_PIXEL_MM[width_of(found)]
