"""The page of the JSON files' fields."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from docs.from_code.markdown import MADE, WORDS, table, toml
from lidcflow.drift.profile import Profile
from lidcflow.drift.record import DriftCheck
from lidcflow.evaluate.record import ReleaseEvaluation
from lidcflow.experiment.comparison import Comparison
from lidcflow.release.last_check import RetrainingCheck
from lidcflow.release.record import ReleaseRecord
from lidcflow.report.marks import Feedback

SCHEMAS_HEAD = """# Fields of the JSON files

Where these files are, and what they are for, is in [file formats](../formats.md). The
[API](api.md#models-of-the-json-files) describes their models. A field with a default was added later, or may be absent.
An *estimate* is an object with `value`, `low` and `high`: a figure and the limits of its 95% interval over patients,
null where the data do not define them."""

SCHEMAS: dict[str, tuple[str, type[BaseModel]]] = {
    "Release": ("`release.json`; `lidcflow releases RELEASE --json` prints it.", ReleaseRecord),
    "Evaluation": ("`evaluation.json`; `lidcflow evaluate --json` has it as `evaluation`.", ReleaseEvaluation),
    "Comparison": ("`comparison.json` of an experiment.", Comparison),
    "Drift": ("`drift.json`.", DriftCheck),
    "Profile": ("`profile.json` of a release, with which new series are compared.", Profile),
    "Feedback": ("`feedback.json`: radiologists' marks on a report.", Feedback),
    "Retraining check": ("`retraining.json`: the last check for retraining.", RetrainingCheck),
}


def schemas_page() -> str:
    """Return the page of the JSON files' fields, each nested model once."""
    parts = [MADE.format(source="the models of these files"), SCHEMAS_HEAD]
    shown: set[str] = set()
    for title, (text, model) in SCHEMAS.items():
        parts += [f"## {title}", text, *_schema(model, shown)]
    return "\n\n".join(parts) + "\n"


def _schema(model: type[BaseModel], shown: set[str]) -> Iterator[str]:
    """Yield the table of a model's fields, then those of the models in it that are not on the page yet."""
    shown.add(model.__name__)
    rows = [
        f"| `{name}` | {_field_type(field)} | {_field_default(field)} |" for name, field in model.model_fields.items()
    ]
    yield table(("Field", "Type", "Default"), rows)
    for inner in dict.fromkeys(one for field in model.model_fields.values() for one in _models_in(field.annotation)):
        if inner.__name__ not in shown:
            yield f"### {_spaced(inner.__name__)}"
            yield from _schema(inner, shown)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation.__name__ != "Estimate":
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _spaced(name: str) -> str:
    """Return a class's name as words.

    Examples
    --------
    >>> _spaced("GateCheck")
    'Gate check'
    """
    return re.sub(r"(?<!^)(?=[A-Z])", " ", name).capitalize()


def _field_type(field: FieldInfo) -> str:
    return _json_type(field.annotation)


def _json_type(annotation: Any) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        name = annotation.__name__
        return "estimate" if name == "Estimate" else f"[{_spaced(name)}](#{_spaced(name).lower().replace(' ', '-')})"
    if origin is Literal:
        return " or ".join(f"`{toml(value)}`" for value in parts)
    if origin is dict:
        return f"object of {_json_type(parts[1])} by name"
    if origin in (tuple, list):
        return f"list of {_json_type(parts[0])}"
    if origin is Union or type(annotation).__name__ == "UnionType":
        names = [_json_type(part) for part in parts if part is not type(None)]
        return " or ".join([*dict.fromkeys(names), *(["null"] if type(None) in parts else [])])
    return {"datetime": "date and time", **WORDS}.get(getattr(annotation, "__name__", ""), "value")


def _field_default(field: FieldInfo) -> str:
    if field.is_required():
        return ""
    value = field.get_default(call_default_factory=True)
    return "null" if value is None else "" if isinstance(value, BaseModel | tuple | dict) else f"`{toml(value)}`"
