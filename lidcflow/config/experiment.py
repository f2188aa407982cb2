"""Definition of an experiment: common settings, named arms, and a grid of values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

SECTIONS = ("train", "preprocess", "labels", "split")
MOST_ARMS = 64
SEED = "train.seed"

ExperimentName = Annotated[str, StringConstraints(pattern="^[a-z0-9][a-z0-9-]{0,39}$")]
ArmName = Annotated[str, StringConstraints(min_length=1, max_length=40)]


@dataclass(frozen=True)
class ArmSettings:
    """One arm: the settings it changes, and its name with and without the seed.

    Attributes
    ----------
    name : str
        Names the arm within its experiment.
    configuration : str
        The same for arms that differ in their seed only.
    settings : dict
        From keys as ``train.sector_num`` to values.
    """

    name: str
    configuration: str
    settings: dict[str, Any]


def flatten(tables: Any) -> Any:
    """Turn tables of a TOML file into dotted keys; whatever is not a table stays for the validation to refuse.

    Examples
    --------
    >>> flatten({"train": {"seed": 1}, "split.seed": 2})
    {'train.seed': 1, 'split.seed': 2}
    """
    if not isinstance(tables, Mapping):
        return tables
    flat: dict[str, Any] = {}
    for key, value in tables.items():
        inner = flatten(value) if isinstance(value, Mapping) else None
        flat |= {key: value} if inner is None else {f"{key}.{name}": one for name, one in inner.items()}
    return flat


Settings = Annotated[dict[str, Any], BeforeValidator(flatten)]
Grid = Annotated[dict[str, Annotated[list[Any], Field(min_length=1)]], BeforeValidator(flatten)]


class ExperimentConfig(BaseModel):
    """An experiment; every combination of a named arm with values of the grid is trained."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    question: str = Field("", max_length=300, description="the question that the experiment answers, in one sentence")
    base: Settings = Field({}, description="settings that all configurations share, such as train.head")
    arms: dict[ArmName, Settings] = Field({}, description="settings of each named configuration")
    grid: Grid = Field({}, description="lists of values by setting; every combination is trained")

    @model_validator(mode="after")
    def _names_settings_that_may_vary(self) -> ExperimentConfig:
        for key in {**self.base, **self.grid, **{key: 0 for own in self.arms.values() for key in own}}:
            if key.split(".")[0] not in SECTIONS or key.count(".") not in (1, 2):
                raise ValueError(f"unknown key '{key}'; an experiment sets keys of {', '.join(SECTIONS)}")
        return self

    @model_validator(mode="after")
    def _has_arms_that_differ(self) -> ExperimentConfig:
        count = prod(map(len, self.grid.values()), start=max(len(self.arms), 1))
        if count > MOST_ARMS:  # before values are compared in pairs, which takes hours for 500,000 of them
            raise ValueError(f"arms must be at most {MOST_ARMS}, got {count}; leave values out of the grid")
        for key, values in self.grid.items():
            if any(value in values[:place] for place, value in enumerate(values)):
                raise ValueError(f"grid: values of {key} must differ, got {values}")
            if any(key in own for own in self.arms.values()):
                raise ValueError(f"grid: {key} must be set by the arms or by the grid, got both")
        return self

    def combinations(self) -> Iterator[ArmSettings]:
        """Yield the arms, the values of the last key of the grid changing fastest."""
        for arm, own in (self.arms or {"": {}}).items():
            for values in product(*self.grid.values()):
                varied = dict(zip(self.grid, values, strict=True))
                words = [arm, *(_worded(key, value) for key, value in varied.items() if key != SEED)]
                configuration = ", ".join(filter(None, words)) or "as configured"
                seed = f", seed {varied[SEED]}" if SEED in varied else ""
                yield ArmSettings(configuration + seed, configuration, {**self.base, **own, **varied})


def _worded(key: str, value: Any) -> str:
    """Describe a setting shortly.

    Examples
    --------
    >>> _worded("train.sector_num", 5), _worded("preprocess.size", 64), _worded("train.epochs", 10)
    ('5 sectors', '64 x 64', 'epochs 10')
    """
    if key == "train.sector_num":
        return "1 sector" if value == 1 else f"{value} sectors"
    if key == "preprocess.size":
        return f"{value} x {value}"
    return str(value) if key in ("train.input", "preprocess.z_range") else f"{key.split('.')[-1]} {value}"
