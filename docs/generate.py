"""Write the pages of docs/reference that are made from code: the settings, and the commands.

python -m docs.generate            write them
python -m docs.generate --check    exit code 1 if a page differs from the code
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from inspect import cleandoc
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from flows.cli import COMMANDS, load_command
from lidcflow.config import Config
from lidcflow.drift.profile import Profile
from lidcflow.drift.record import DriftCheck
from lidcflow.evaluate.record import ReleaseEvaluation
from lidcflow.experiment.comparison import Comparison
from lidcflow.release.last_check import RetrainingCheck
from lidcflow.release.record import ReleaseRecord
from lidcflow.report.marks import Feedback

REFERENCE = Path(__file__).parent / "reference"
MADE = "<!-- Written by `python -m docs.generate` from {source}; edit that. -->"

SECTIONS = {
    "": "Keys at the top of the file, before any `[section]`.",
    "preprocess": "Settings that change the stored voxels. A store and a release belong to one set of these values.",
    "nodules": "[Nodule candidates](../nodules.md), which are found beside a volume, and the "
    "[detector](../detector.md) that is trained on them.",
    "labels": "How annotations become the label of a slice: see [labels](../labels.md).",
    "split": "Shares of patients that are held out. A hash of the patient's pseudonym decides, so new patients never "
    "move old ones.",
    "train": "How the sector models are trained.",
    "train.finetune": 'Used only with `train.mode = "finetune"`: see [finetuning](../finetuning.md).',
    "train.images": 'Used only with `train.backbone = "keras"` or `"onnx"`: what the network takes and makes, see '
    "[your own backbone](../own_backbones.md).",
    "gate": "Promotion criteria of a release: see [releases](../releases.md#the-gate).",
    "cluster": "Where series are processed: see [cluster](../cluster.md).",
    "cluster.preprocess": "Workers for preprocessing, where they differ from `[cluster]`.",
    "cluster.train": "Workers for features, training, evaluation and inference, where they differ from `[cluster]`.",
    "cluster.tls": "Certificates of Dask's processes. Without this section, connections are not encrypted.",
    "access.s3": "S3-like storage behind `s3://`. Keys come from `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`.",
    "access.idc": "The public archive behind `idc:`.",
    "access.pacs.NAME": "A DICOMweb service, used as `pacs:NAME`: see [PACS](../pacs.md).",
    "tracking": "Where MLflow keeps runs and models.",
    "infer": "How new studies are processed.",
    "retrain": "When the scheduled check starts a training: see [retraining](../retraining.md).",
    "delivery": "How answers are delivered: see [inbox](../inbox.md).",
    "drift": "How recent studies are compared with the training data: see [drift](../drift.md).",
    "retention": "How long things are kept: see [operations](../operations.md#retention). MLflow's runs and models and "
    "the training store are always kept.",
    "serve": "What `lidcflow up` and `lidcflow reports` serve, and when.",
    "experiments.NAME": "An experiment of your own: see [experiments](../experiments.md).",
}

VALUES = {
    "preprocess.z_range": "`scan`: the whole scan; `lung`: the extent of the lungs; `centre`: the middle 65 mm",
    "preprocess.gaps": "see `missing-slices` in [sources and series](../archives.md#eligibility-of-a-series)",
    "patient_key": "the secret is described above",
    "train.input": "`gray`: the mean in the lung window, three times; `max`: the maximum, likewise; `projections`: "
    "mean and maximum in the lung window, mean in the soft-tissue window",
    "train.head": "`linear`: one layer with L2; `mlp`: one hidden layer of 128; `paper`: two of 1024 with dropout 0.5",
    "train.balance": "`equal`: every class has as many slices as the rarest, or `train.cap`; `cap_non_nodule`: "
    "as many slices without a nodule as with one, or `train.cap`; `none`: all slices, or `train.cap` of each class",
    "cluster.place": "`local`: this machine; `tcp://host:8786`: a running Dask scheduler; or the dotted name of a "
    "class that starts a cluster, such as `dask_jobqueue.SLURMCluster`",
}
"""What the values of a key do, where its description does not say it."""

CONFIGURATION = """# Configuration reference

Settings come from three places; each overrides the one before it:

1. one TOML file: the file after `--config`, else the one that `LIDCFLOW_CONFIG` names, else `lidcflow.toml` in the
   current folder;
2. environment variables: `LIDCFLOW_TRAIN__SECTOR_NUM=13` sets `train.sector_num`; a list or a table is written as JSON.
   `LIDCFLOW_CATALOG_URL_FILE=/run/secrets/url` reads the value of `catalog_url` from a file;
3. options of the command, such as `--workspace`.

Unknown keys are rejected by name. *none* means that the key is not set. **Relative paths** are relative to the current
folder when a command runs, and to the folder of the configuration file when a deployment of Prefect runs: use absolute
paths in a file that both read. If `--config` names a file in another folder and its workspace lies beside it, the
command stops and says so, instead of starting a new workspace in the current folder.

Variables that are not settings: `LIDCFLOW_CONFIG`, see above, and `LIDCFLOW_PATIENT_KEY_SECRET`, the secret behind
patient pseudonyms with `patient_key = "private"`. Without it, the secret is in `patient.key` in the workspace, made on
first use and readable by its owner only. Back it up: without it, the same patient gets another pseudonym, and splits,
erasures and releases no longer match."""

COMMANDS_HEAD = """# Command reference

Every command prints its options with `--help`. With `--json`, a command prints its report as JSON instead of tables.

| Exit code | Meaning |
|---|---|
| 0 | done |
| 1 | failed; one sentence on standard error says why |
| 2 | wrong usage: unknown command or option, missing argument, wrong value, options that exclude each other |
| 3 | done, with something refused, failed or left out, as the output says |

`lidcflow --version` prints the version."""

EXAMPLES = {
    "init": "lidcflow init research --out lidcflow.toml",
    "demo": "lidcflow demo --folder demo --series 32 --seed 0",
    "phantom": "lidcflow phantom /data/synthetic --series 4 --seed 0",
    "index": "lidcflow index /data/LIDC-IDRI --csv series.csv",
    "preprocess": "lidcflow preprocess /data/LIDC-IDRI --csv refused.csv",
    "download": "lidcflow download idc:lidc_idri/LIDC-IDRI-0001 /data/LIDC-IDRI",
    "labels": "lidcflow labels --source annotations.csv --out labels.csv --report not-used.csv",
    "train": "lidcflow train --sectors 5",
    "retrain": "lidcflow retrain",
    "releases": "lidcflow releases champion --export release-files",
    "promote": 'lidcflow promote 3 --force --reason "checked by hand on 40 studies"',
    "rollback": "lidcflow rollback",
    "pretrain": "lidcflow pretrain compact.npz",
    "snapshots": "lidcflow snapshots --json",
    "experiment": "lidcflow experiment sectors",
    "evaluate": "lidcflow evaluate champion --split test --out evaluation",
    "infer": "lidcflow infer /data/new --documents /data/documents",
    "reports": "lidcflow reports --port 8765",
    "inbox": "lidcflow inbox --step failed",
    "drift": "lidcflow drift --days 7",
    "up": "lidcflow up --config lidcflow.toml",
    "status": "lidcflow status",
    "doctor": "lidcflow doctor",
    "deploy": "lidcflow deploy --profile cluster",
    "repair": "lidcflow repair --verify",
    "clean": "lidcflow clean --dry-run",
    "erase": "lidcflow erase --patient-id --dry-run",
}


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


def pages() -> dict[Path, str]:
    """Return the text of each generated page."""
    return {
        REFERENCE / "configuration.md": configuration_page(),
        REFERENCE / "commands.md": commands_page(),
        REFERENCE / "schemas.md": schemas_page(),
    }


def configuration_page() -> str:
    """Return the page of all settings, a table for each section."""
    rows: dict[str, list[str]] = {}
    for section, name, field in settings(Config):
        rows.setdefault(section, []).append(_setting_row(section, name, field))
    parts = [MADE.format(source="lidcflow/config"), CONFIGURATION]
    for section, lines in rows.items():
        title = f"## `[{section}]`" if section else "## Top level"
        parts += [title, SECTIONS[section], _table(("Key", "Type", "Default", "Meaning"), lines)]
    return "\n\n".join(parts) + "\n"


def settings(model: type[BaseModel], section: str = "", default: Any = None) -> Iterator[tuple[str, str, FieldInfo]]:
    """Yield section, key and field of every setting, the keys of a section before those of its subsections."""
    inner: list[tuple[str, type[BaseModel], Any]] = []
    for name, field in model.model_fields.items():
        path = f"{section}.{name}".lstrip(".")
        nested = _model_in(field.annotation)
        if nested is None:
            yield section, name, _with_default(field, getattr(default, name, None))
        else:
            named = get_origin(field.annotation) is dict
            inner.append((f"{path}.NAME" if named else path, nested, field.get_default()))
    for path, nested, value in inner:
        yield from settings(nested, path, value if isinstance(value, BaseModel) else None)


def _with_default(field: FieldInfo, value: Any) -> FieldInfo:
    """Return the field with the default that the section's own default gives it, as `access.idc` does."""
    if value is None or field.default == value:
        return field
    return FieldInfo(annotation=field.annotation, default=value, description=field.description)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    for found in (annotation, *get_args(annotation)):
        if isinstance(found, type) and issubclass(found, BaseModel):
            return found
    return None


def _setting_row(section: str, name: str, field: FieldInfo) -> str:
    path = f"{section}.{name}".lstrip(".")
    meaning = "execution backend" if path == "cluster.place" else _cell(field.description or "")
    more = f"; {VALUES[path]}" if path in VALUES else ""
    return f"| `{path}` | {_type(field)} | {_default(field)} | {meaning}{more} |"


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    if value is None:
        return "none"
    return f"`{_toml(value)}`"


def _toml(value: Any) -> str:
    """Return a value as TOML writes it.

    Examples
    --------
    >>> _toml(True), _toml("scan"), _toml(()), _toml(0.001)
    ('true', '"scan"', '[]', '0.001')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return "{}" if not value else str(value)
    return str(value) if isinstance(value, int | float) else f'"{value}"'


def _type(field: FieldInfo) -> str:
    bounds = [_bound(rule) for rule in field.metadata if isinstance(rule, Ge | Gt | Le | Lt)]
    return ", ".join([_type_name(field.annotation), *bounds])


def _bound(rule: Ge | Gt | Le | Lt) -> str:
    if isinstance(rule, Ge):
        return f"at least {_number(rule.ge)}"
    if isinstance(rule, Gt):
        return f"above {_number(rule.gt)}"
    return f"at most {_number(rule.le)}" if isinstance(rule, Le) else f"below {_number(rule.lt)}"


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


WORDS = {
    "str": "text",
    "int": "whole number",
    "float": "number",
    "bool": "true or false",
    "Path": "path",
    "date": "date",
}


def _type_name(annotation: Any) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{_toml(value)}`" for value in parts)
    if origin is tuple:
        return "list of numbers" if float in parts else "list of text"
    if origin is dict:
        return "table"
    if origin is list:
        return "list"
    if origin is Union or type(annotation).__name__ == "UnionType":
        return " or ".join(_type_name(part) for part in parts if part is not type(None))
    if parts:
        return _type_name(parts[0])
    return WORDS.get(getattr(annotation, "__name__", ""), "value")


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
    yield _table(("Field", "Type", "Default"), rows)
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
        return " or ".join(f"`{_toml(value)}`" for value in parts)
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
    return "null" if value is None else "" if isinstance(value, BaseModel | tuple | dict) else f"`{_toml(value)}`"


def commands_page() -> str:
    """Return the page of all commands, with a table of the arguments and options of each."""
    parts = [MADE.format(source="flows/cli"), COMMANDS_HEAD]
    parts.append(_table(("Command", "What it does"), [_listed(name) for name in COMMANDS]))
    for name in sorted(COMMANDS):
        parts += _command(f"lidcflow {name}", load_command(name), EXAMPLES[name])
    return "\n\n".join(parts) + "\n"


def _listed(name: str) -> str:
    return f"| [`{name}`](#lidcflow-{name}) | {_cell(_plain(COMMANDS[name]))} |"


def _command(name: str, command: Any, example: str = "", level: int = 2) -> Iterator[str]:
    yield f"{'#' * level} lidcflow {name.removeprefix('lidcflow ')}"
    yield _plain(cleandoc(command.help or ""))
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    yield f"```sh\n{example or ' '.join([name, *map(_metavar, arguments)])}\n```"
    options = [one for one in command.params if one.param_type_name == "option" and one.name != "help"]
    if rows := [_parameter(one) for one in (*arguments, *options)]:
        yield _table(("Argument or option", "Default", "Meaning"), rows)
    for inner, subcommand in getattr(command, "commands", {}).items():
        yield from _command(f"{name} {inner}", subcommand, level=level + 1)


def _metavar(argument: Any) -> str:
    shown = argument.metavar or argument.name.upper()
    return shown if argument.required or shown.startswith("[") else f"[{shown}]"


def _parameter(one: Any) -> str:
    is_argument = one.param_type_name == "argument"
    shown = f"`{_metavar(one)}`" if is_argument else ", ".join(f"`{name}`" for name in one.opts)
    value = "" if is_argument or getattr(one, "is_flag", False) else f" {_kind(one)}"
    default = "required" if one.required else _option_default(one)
    return f"| {shown}{value} | {default} | {_cell(_plain(one.help or ''))} |"


KINDS = {"str": "TEXT", "int": "NUMBER", "float": "NUMBER", "Path": "PATH"}


def _kind(one: Any) -> str:
    annotation = one.type_descriptor.annotation
    names = [part for part in (*get_args(annotation), annotation) if part is not type(None)]
    literal = next((part for part in names if get_origin(part) is Literal), None)
    if literal is not None:
        return " or ".join(f"`{choice}`" for choice in get_args(literal))
    return f"`{one.metavar or KINDS.get(getattr(names[0], '__name__', ''), 'TEXT')}`"


def _option_default(one: Any) -> str:
    if getattr(one, "is_flag", False):
        return "off"
    return "" if one.default in (None, "", []) or callable(one.default) else f"`{one.default}`"


def _plain(text: str) -> str:
    """Return a help text without the escapes that Rich needs."""
    return text.replace("\\[", "[")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("[", "\\[").replace("<", "&lt;")


def _table(head: tuple[str, ...], rows: list[str]) -> str:
    return "\n".join([f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *rows])


def stale(found: Mapping[Path, str]) -> list[Path]:
    """Return the pages that differ from the code."""
    return [page for page, text in found.items() if not page.is_file() or page.read_text(encoding="utf-8") != text]


def main() -> None:
    """Write the pages, or with ``--check`` end with exit code 1 if one differs."""
    found = pages()
    if "--check" in sys.argv[1:]:
        sys.exit(
            f"run `python -m docs.generate`: {', '.join(page.name for page in old)}" if (old := stale(found)) else 0
        )
    for page, text in found.items():
        page.parent.mkdir(exist_ok=True)
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
