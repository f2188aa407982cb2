"""Frozen dataclasses as plain JSON values and back, by their fields and hints alone."""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

Decode = Callable[[Any], Any]


def encoded(value: Any) -> Any:
    """Turn a value into lists, numbers and texts.

    Parameters
    ----------
    value : dataclass, tuple, text, number, bool or None
        What is to be kept.

    Raises
    ------
    TypeError
        If it is something else.
    """
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, tuple | list):
        return [encoded(item) for item in value]
    if is_dataclass(value):
        return [encoded(getattr(value, field.name)) for field in fields(value)]
    raise TypeError(f"a value must be made of dataclasses, tuples, texts and numbers, got {type(value).__name__}")


@cache
def decoder(kind: Any) -> Decode:
    """Return the function that turns what `encoded` made back into a value of one type.

    Parameters
    ----------
    kind : type
        A dataclass, or a hint of one of its fields.

    Raises
    ------
    TypeError
        If the hint is none that can be kept.

    Examples
    --------
    >>> decoder(tuple[int, ...] | None)([1, 2])
    (1, 2)
    """
    if is_dataclass(kind) and isinstance(kind, type):
        return _of_dataclass(kind)
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        (inner,) = [part for part in get_args(kind) if part is not type(None)]
        return _optional(decoder(inner))
    if origin is tuple:
        return _of_tuple(get_args(kind))
    if kind in (str, int, float, bool):
        return _as_it_is
    raise TypeError(f"a field must be a dataclass, tuple, text or number, got {kind}")


def shape_of(kind: type) -> str:
    """Describe a dataclass by its fields and hints, so that what was encoded by another version is known as such.

    Parameters
    ----------
    kind : dataclass type
        What is encoded; it may hold dataclasses, and others of its own kind.
    """
    known: dict[type, dict[str, str]] = {}
    waiting: list[Any] = [kind]
    while waiting:
        one = waiting.pop()
        if is_dataclass(one) and isinstance(one, type) and one not in known:
            hints = get_type_hints(one)
            known[one] = {name: str(hint) for name, hint in hints.items()}
            waiting += parts_of(*hints.values())
    return str({one.__name__: hints for one, hints in known.items()})


def parts_of(*hints: Any) -> list[Any]:
    """List hints and all that they are made of.

    Examples
    --------
    >>> parts_of(tuple[int, ...])
    [tuple[int, ...], <class 'int'>, Ellipsis]
    """
    return [part for hint in hints for part in (hint, *parts_of(*get_args(hint)))]


def _of_dataclass(kind: type) -> Decode:
    hints = get_type_hints(kind)
    decoders = [decoder(hints[field.name]) for field in fields(kind)]
    if all(decode is _as_it_is for decode in decoders):
        return lambda values: kind(*values)
    return lambda values: kind(*[decode(value) for decode, value in zip(decoders, values, strict=True)])


def _of_tuple(hints: tuple[Any, ...]) -> Decode:
    decoders = {decoder(hint) for hint in hints if hint is not Ellipsis}
    if decoders == {_as_it_is}:
        return tuple
    if len(hints) == 2 and hints[1] is Ellipsis:
        (decode,) = decoders
        return lambda values: tuple([decode(value) for value in values])
    return lambda values: tuple([decoder(hint)(value) for hint, value in zip(hints, values, strict=True)])


def _optional(decode: Decode) -> Decode:
    return decode if decode is _as_it_is else lambda value: None if value is None else decode(value)


def _as_it_is(value: Any) -> Any:
    return value
