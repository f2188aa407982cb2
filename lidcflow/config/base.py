"""Base of all settings, and the sentence that describes an invalid one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from lidcflow.config.validators import MOST_LETTERS, in_a_line, printable, without_passwords

MOST_OF_A_RULE = 600
"""Letters of a rule in a sentence: the longest list of known keys has some 300."""

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
    rule = printable(first["msg"].removeprefix("Value error, "))[:MOST_OF_A_RULE]
    if first["type"] == "extra_forbidden":
        return f"unknown key '{key}'; {_known_keys(first['loc'][:-1], model)}"
    if isinstance(first.get("input"), dict | BaseModel) or key in SECRET_KEYS:
        return ": ".join(filter(None, [key, rule]))
    return f"{key}: {rule}, got {_shown(first.get('input'))}"


def _shown(value: Any) -> str:
    """Show a value, cut where it is long, without the user and password that someone wrote into an address."""
    text = without_passwords(repr(value))
    return text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]}..."


def _known_keys(section: tuple[int | str, ...], model: type[BaseModel]) -> str:
    for name in section:
        field = model.model_fields.get(str(name))
        for annotation in (field.annotation, *get_args(field.annotation)) if field else ():
            model = annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else model
    return f"known here are {', '.join(sorted(model.model_fields))}"
