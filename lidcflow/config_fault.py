"""Say in one sentence what is wrong with settings."""

from __future__ import annotations

import re
from typing import Any, get_args

from pydantic import BaseModel, ValidationError


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
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown key '{key}'; {_known_keys(first['loc'][:-1], model)}"
    if isinstance(first.get("input"), dict | BaseModel):
        return ": ".join(filter(None, [key, first["msg"]]))
    return f"{key}: {first['msg']}, got {_shown(first.get('input'))}"


def _shown(value: Any) -> str:
    """Show a value without the user and password that someone wrote into an address."""
    return re.sub("://.*@", "://...@", repr(value))


def _known_keys(section: tuple[int | str, ...], model: type[BaseModel]) -> str:
    for name in section:
        field = model.model_fields.get(str(name))
        for annotation in (field.annotation, *get_args(field.annotation)) if field else ():
            model = annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else model
    return f"known here are {', '.join(sorted(model.model_fields))}"
