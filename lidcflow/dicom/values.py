"""Turn header values of any quality into plain Python ones; what can't be turned becomes None."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import MutableSequence
from typing import Any

LONGEST_UID = 128
"""Characters of a UID at most: the standard allows 64, and some archives write 65 or 66."""

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_NAME = re.compile("invalid-[0-9a-f]{12}")
_INSTANCE_UID = re.compile(r"[0-9][0-9.]*")
_CLOCK = re.compile(r"(?:\d{8})?(\d{2})(\d{2})(\d{2}(?:\.\d+)?)(?:[+-]\d{4})?")
LABEL_LENGTH = 64


def is_uid(value: str) -> bool:
    """Return whether a value can stand for a UID, and is safe as the name of a folder.

    UIDs of 65 or 66 characters and with leading zeros are accepted: archives write them in otherwise valid series.

    References
    ----------
    DICOM PS3.5 section 9.1.

    Examples
    --------
    >>> is_uid("1.2.840.10008"), is_uid("1.2.003"), is_uid("../../x"), is_uid("1..2")
    (True, True, False, False)
    """
    return len(value) <= LONGEST_UID and _UID.fullmatch(value) is not None


def names_instance(value: str) -> bool:
    """Return whether a value can name an instance: digits and dots, also with an empty component.

    It never becomes a path, and a document that refers to the instance must repeat it as it is.

    Examples
    --------
    >>> names_instance("1.2..3"), names_instance("1.2.3."), names_instance("Lovelace")
    (True, True, False)
    """
    return len(value) <= LONGEST_UID and _INSTANCE_UID.fullmatch(value) is not None


def series_name(uid: str) -> str:
    """Return the name by which a series is listed: its UID, or a hash of what stands there instead of one.

    A name that was made before is returned unchanged.

    Examples
    --------
    >>> series_name("1.2.3"), series_name("A/B")
    ('1.2.3', 'invalid-998d3ed8983a')
    """
    return uid if is_uid(uid) or _NAME.fullmatch(uid) else f"invalid-{hashlib.sha256(uid.encode()).hexdigest()[:12]}"


def text_of(value: Any) -> str | None:
    """Return the text of a header value, blanks and nulls stripped; several values joined by a backslash."""
    parts = [str(part) for part in value] if isinstance(value, MutableSequence | tuple) else [str(value or "")]
    text = "\\".join(part.strip(" \0") for part in parts)
    return text or None


def label_of(value: Any) -> str | None:
    """Return a text that people read, cut to the length that the standard allows."""
    return (text_of(value) or "")[:LABEL_LENGTH] or None


def raw_text(value: bytes | str | None) -> str:
    """Return the text of an undecoded UID or number, padding stripped."""
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value or "")
    return text.strip(" \0")


def number_of(value: Any) -> float | None:
    """Return a finite number, or None."""
    numbers = numbers_of(value, 1)
    return numbers[0] if numbers else None


def integer_of(value: Any) -> int | None:
    """Return a whole number, or None."""
    number = number_of(value)
    return None if number is None or number != int(number) else int(number)


def seconds_of(value: Any) -> float | None:
    """Return the time of day that a TM or DT value states, in seconds, or None."""
    found = _CLOCK.fullmatch(raw_text(value))
    if found is None:
        return None
    hours, minutes, seconds = found.groups()
    return 3600.0 * int(hours) + 60.0 * int(minutes) + float(seconds)


def numbers_of(value: Any, count: int) -> tuple[float, ...] | None:
    """Return exactly `count` finite numbers of a decimal string, undecoded or decoded, or None.

    A comma is read as the decimal point: some scanners write the locale's, and it has no other meaning in a decimal
    string.

    Examples
    --------
    >>> numbers_of(b"0,703\\\\0,703 ", 2)
    (0.703, 0.703)
    """
    if isinstance(value, bytes | str):
        value = raw_text(value).split("\\")
    elif not isinstance(value, MutableSequence | tuple):
        value = [value]
    try:
        numbers = tuple(float(part.replace(",", ".")) if isinstance(part, str) else float(part) for part in value)
    except (TypeError, ValueError, OverflowError):
        return None
    return numbers if len(numbers) == count and all(map(math.isfinite, numbers)) else None
