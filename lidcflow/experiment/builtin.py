"""Experiments that come with lidcflow, and the arms that an experiment of that or any other name trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from lidcflow.config import Config, PreprocessConfig
from lidcflow.config.base import fault_in
from lidcflow.config.experiment import ExperimentConfig
from lidcflow.errors import ConfigError

SEEDS = [0, 1, 2]

BUILT_IN: dict[str, ExperimentConfig] = {
    "paper": ExperimentConfig(
        question="How do the paper's four configurations compare, with its head, its input and its balanced sets?",
        base={
            "train.head": "paper",
            "train.input": "gray",
            "train.balance": "equal",
            "train.epochs": 10,
            "train.sector_num": 5,
            "preprocess.size": 128,
            "preprocess.z_range": "scan",
        },
        arms={
            "baseline": {},
            "1 sector": {"train.sector_num": 1},
            "13 sectors": {"train.sector_num": 13},
            "64 x 64": {"preprocess.size": 64},
        },
    ),
    "sectors": ExperimentConfig(
        question="Do more sectors help when all see the same slices equally often?",
        base={"train.balance": "none", "train.cap": None},
        grid={"train.sector_num": [1, 5, 13], "train.seed": SEEDS},
    ),
    "inputs": ExperimentConfig(
        question="Do mean and maximum in two windows tell more than the mean alone?",
        grid={"train.input": ["gray", "projections"], "train.seed": SEEDS},
    ),
    "channels": ExperimentConfig(
        question="Does the maximum over a slab tell more than its mean?",
        grid={"train.input": ["gray", "max"], "train.seed": SEEDS},
    ),
    "ranges": ExperimentConfig(
        question="Do slices spread over the lungs tell more than slices spread over the scan?",
        grid={"preprocess.z_range": ["scan", "lung"], "train.seed": SEEDS},
    ),
}

PAPER_TRAINING_ACCURACY = {"baseline": 0.40, "1 sector": 0.55, "13 sectors": 0.60, "64 x 64": 0.40}
"""Published accuracies of the arms of `paper`: on training slices, from runs without validation."""


@dataclass(frozen=True)
class Arm:
    """An arm of an experiment, which is trained once for each sector.

    Attributes
    ----------
    name : str
        Names it within its experiment.
    configuration : str
        The same for arms that differ in their seed only.
    config : Config
        All of its settings; its store holds volumes of its own preprocessing.
    """

    name: str
    configuration: str
    config: Config


def experiments_of(own: Mapping[str, ExperimentConfig]) -> dict[str, ExperimentConfig]:
    """Return all experiments by name; a configured one stands in for the built-in one of its name."""
    return {**BUILT_IN, **own}


def arms_of(name: str, config: Config) -> list[Arm]:
    """Expand an experiment into its arms.

    Raises
    ------
    ConfigError
        If there is no experiment of that name, or its settings do not go with the others.

    Examples
    --------
    >>> [arm.name for arm in arms_of("paper", Config())]
    ['baseline', '1 sector', '13 sectors', '64 x 64']
    """
    known = experiments_of(config.experiments)
    if name not in known:
        raise ConfigError(f"experiment {name}: must be one of {', '.join(sorted(known))}; or add [experiments.{name}]")
    try:
        return [
            Arm(one.name, one.configuration, with_own_store(config.with_settings(one.settings), config.preprocess))
            for one in known[name].combinations()
        ]
    except ValidationError as error:
        raise ConfigError(f"experiment {name}: {fault_in(error, Config)}; change the configuration") from None


def with_own_store(config: Config, stored: PreprocessConfig) -> Config:
    """Return a configuration with its own store and catalog when the workspace's store holds other volumes.

    Parameters
    ----------
    config : Config
        Of an arm.
    stored : PreprocessConfig
        What the volumes of its store are made with.
    """
    if config.preprocess.digest == stored.digest:
        return config
    store = f"store-{config.preprocess.digest[:12]}"
    catalog = f"sqlite:///{config.workspace.absolute()}/{store}.db"
    return config.model_copy(update={"store": store, "catalog_url": catalog})
