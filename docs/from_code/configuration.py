"""The page of all settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from docs.from_code.markdown import MADE, WORDS, cell, table, toml
from lidcflow.config import Config

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


def configuration_page() -> str:
    """Return the page of all settings, a table for each section."""
    rows: dict[str, list[str]] = {}
    for section, name, field in settings(Config):
        rows.setdefault(section, []).append(_setting_row(section, name, field))
    parts = [MADE.format(source="lidcflow/config"), CONFIGURATION]
    for section, lines in rows.items():
        title = f"## `[{section}]`" if section else "## Top level"
        parts += [title, SECTIONS[section], table(("Key", "Type", "Default", "Meaning"), lines)]
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
    meaning = "execution backend" if path == "cluster.place" else cell(field.description or "")
    more = f"; {VALUES[path]}" if path in VALUES else ""
    return f"| `{path}` | {_type(field)} | {_default(field)} | {meaning}{more} |"


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    if value is None:
        return "none"
    return f"`{toml(value)}`"


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


def _type_name(annotation: Any) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{toml(value)}`" for value in parts)
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
