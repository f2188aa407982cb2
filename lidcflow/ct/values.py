"""Turn header values of any quality into plain Python ones; what can't be turned becomes None."""

from __future__ import annotations

import hashlib
import math
import re
from typing import Any

from pydicom.multival import MultiValue

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_NAME = re.compile("invalid-[0-9a-f]{12}")
LABEL_LENGTH = 64


def is_uid(value: str) -> bool:
    """Tell whether a value is a UID, and so safe as the name of a folder.

    References
    ----------
    DICOM PS3.5 section 9.1; leading zeros, which the field writes, are let through.

    Examples
    --------
    >>> is_uid("1.2.840.10008"), is_uid("../../x")
    (True, False)
    """
    return len(value) <= 64 and _UID.fullmatch(value) is not None


def series_name(uid: str) -> str:
    """Return the name by which a series is listed: its UID, or a hash of what stands there instead of one.

    A name gives itself, so that names and UIDs need not be told apart.

    Examples
    --------
    >>> series_name("1.2.3"), series_name("A/B")
    ('1.2.3', 'invalid-57f62fa2b4c6')
    """
    return uid if is_uid(uid) or _NAME.fullmatch(uid) else f"invalid-{hashlib.sha256(uid.encode()).hexdigest()[:12]}"


def text_of(value: Any) -> str | None:
    """Give the text of a header value, blanks and nulls stripped; several values joined by a backslash."""
    parts = [str(part) for part in value] if isinstance(value, MultiValue | list | tuple) else [str(value or "")]
    text = "\\".join(part.strip(" \0") for part in parts)
    return text or None


def label_of(value: Any) -> str | None:
    """Give a text that people read, cut to the length that the standard allows."""
    return (text_of(value) or "")[:LABEL_LENGTH] or None


def raw_text(value: bytes | str | None) -> str:
    """Give the text of an undecoded UID or number, padding stripped."""
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value or "")
    return text.strip(" \0")


def number_of(value: Any) -> float | None:
    """Give a finite number, or None."""
    numbers = numbers_of(value, 1)
    return numbers[0] if numbers else None


def integer_of(value: Any) -> int | None:
    """Give a whole number, or None."""
    number = number_of(value)
    return None if number is None or number != int(number) else int(number)


def numbers_of(value: Any, count: int) -> tuple[float, ...] | None:
    """Give exactly `count` finite numbers of a decimal string, undecoded or decoded, or None."""
    if isinstance(value, bytes | str):
        value = raw_text(value).split("\\")
    elif not isinstance(value, MultiValue | list | tuple):
        value = [value]
    try:
        numbers = tuple(float(part) for part in value)
    except (TypeError, ValueError, OverflowError):
        return None
    return numbers if len(numbers) == count and all(map(math.isfinite, numbers)) else None
