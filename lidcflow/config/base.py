"""Base of all settings, and the sentence that describes an invalid one."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from lidcflow.config.validators import MOST_LETTERS, in_a_line, printable, without_passwords

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

MOST_OF_A_RULE = 600
"""Letters of a rule in a sentence: the longest list of known keys has some 300."""

_RULES = {
    **dict.fromkeys(("bool_parsing", "bool_type"), "must be true or false"),
    **dict.fromkeys(("int_from_float", "int_parsing", "int_type"), "must be a whole number"),
    **dict.fromkeys(("float_parsing", "float_type"), "must be a number"),
    **dict.fromkeys(("dict_type", "mapping_type", "model_type"), "must be a table"),
    **dict.fromkeys(("list_type", "tuple_type"), "must be a list"),
    "missing": "must be set",
    "path_type": "must be a path, as text",
    "string_type": "must be text",
}
"""Rules by pydantic's type of error, where its own sentence names types of Python."""

SECRET_KEYS = ("catalog_url", "tracking.uri")
"""Keys whose wrong values are not shown at all: a password may stand anywhere in them."""


class Settings(BaseModel):
    """Immutable settings that refuse unknown keys, empty paths, infinite numbers and what is not a number."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _names_places(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse an empty text for paths and lists, as of an empty variable: it would be the current folder."""
        annotation = cls.model_fields[info.field_name or ""].annotation
        kinds = {get_origin(kind) or kind for kind in (annotation, *get_args(annotation))}
        texts = value if isinstance(value, list | tuple) else (value,)
        if kinds & {Path, tuple} and any(isinstance(text, str) and not text.strip() for text in texts):
            raise ValueError("must name a place, or be left out")
        return value


def fault_in(error: ValidationError, model: type[BaseModel]) -> str:
    """Name the key, the rule and the value of the first thing that is wrong.

    Parameters
    ----------
    error : ValidationError
        What pydantic says of the settings.
    model : type
        What they were to be.
    """
    first = error.errors()[0]
    key = in_a_line(".".join(str(part) for part in first["loc"]))
    if first["type"] == "extra_forbidden":
        return f"unknown key '{key}'; {_known_keys(first['loc'], model)}"
    if isinstance(first.get("input"), dict | BaseModel) or key in SECRET_KEYS:
        return ": ".join(filter(None, [key, _rule_in(first)]))
    return f"{key}: {_rule_in(first)}, got {_shown(first.get('input'))}"


def rule_and_value(error: ValidationError) -> str:
    """Return the rule that the first wrong value breaks, and the value, as for an option whose name stands before it.

    Parameters
    ----------
    error : ValidationError
        What pydantic says of the value.
    """
    first = error.errors()[0]
    return f"{_rule_in(first)}, got {_shown(first.get('input'))}"


def _rule_in(details: ErrorDetails) -> str:
    """Return the broken rule in our words: pydantic's name Python's types, and "should"."""
    rule = _RULES.get(details["type"]) or details["msg"].removeprefix("Value error, ")
    return printable(re.sub(r"^(Input|String|Value) should ", "must ", rule))[:MOST_OF_A_RULE]


def _shown(value: Any) -> str:
    """Show a value, cut where it is long, without the user and password that someone wrote into an address."""
    text = without_passwords(repr(value))
    return text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]}..."


def _known_keys(path: tuple[int | str, ...], model: type[BaseModel]) -> str:
    *sections, wrong = path
    for name in sections:
        field = model.model_fields.get(str(name))
        for annotation in (field.annotation, *get_args(field.annotation)) if field else ():
            model = annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else model
    known = sorted(model.model_fields)
    meant = get_close_matches(str(wrong)[:MOST_LETTERS], known, n=1)
    return "".join(f"did you mean '{name}'? " for name in meant) + f"known here are {', '.join(known)}"
