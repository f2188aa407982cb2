"""Say in one sentence what is wrong with settings."""

from __future__ import annotations

from pydantic import BaseModel, ValidationError

from lidcflow.experiment import ExperimentConfig


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
    return f"{key}: {first['msg']}, got {first.get('input')!r}"


def _known_keys(section: tuple[int | str, ...], model: type[BaseModel]) -> str:
    for name in section:
        field = model.model_fields.get(str(name))
        annotation = ExperimentConfig if name == "experiments" else field and field.annotation
        model = annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else model
    return f"known here are {', '.join(sorted(model.model_fields))}"
