"""Word where a rule is broken: how many images of how many, and which one is the first."""

from __future__ import annotations

from collections.abc import Sequence

from lidcflow.dicom.values import names_instance
from lidcflow.headers.header import Header

ABSENT = "none"
"""Stands for a value that is absent, or that is not what the standard asks for."""


def images_concerned(broken: Sequence[Header], headers: Sequence[Header]) -> str:
    """Return in how many images a rule is broken, and in which one first.

    Parameters
    ----------
    broken : sequence of Header
        At least one image that breaks the rule.
    headers : sequence of Header
        All images that were looked at.

    Returns
    -------
    str
        Such as ``in 1 of 20 instances, the first 1.2.3 (InstanceNumber 6)``.
    """
    noun = "frames" if broken[0].frame_number is not None else "instances"
    return f"in {len(broken)} of {len(headers)} {noun}, the first {named(broken[0])}"


def named(header: Header) -> str:
    """Name an image by its UID and number; a value that is no UID is not repeated."""
    uid = header.sop_instance_uid if names_instance(header.sop_instance_uid) else "one without a sound UID"
    if header.frame_number is not None:
        return f"frame {header.frame_number} of {uid}"
    return uid if header.instance_number is None else f"{uid} (InstanceNumber {header.instance_number})"


def show_value(value: float | str | None) -> str:
    """Write a value of a header.

    Examples
    --------
    >>> show_value(None), show_value(0.5), show_value(-1024.0)
    ('none', '0.5', '-1024')
    """
    return f"{value:.10g}" if isinstance(value, float) else ABSENT if value is None else str(value)
