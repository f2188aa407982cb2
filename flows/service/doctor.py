"""`lidcflow doctor`: the checks, in the order in which problems should be fixed."""

from collections.abc import Callable

from pydantic import BaseModel

from flows.service import keras_check, machine_checks
from flows.service.machine_checks import Level, Result, split_sentence
from lidcflow.config import Config
from lidcflow.errors import LidcflowError

Check = Callable[[Config], Result]

CHECKS: dict[str, Check] = {
    "Python": lambda _: machine_checks.python(),
    "packages": lambda _: machine_checks.packages(),
    "Keras": lambda _: keras_check.installed(),
    "engine": lambda config: machine_checks.engine(config.train),
    "LIDC readings": lambda _: machine_checks.readings(),
    "compact weights": machine_checks.compact_weights,
    "backbone weights": machine_checks.backbone_weights,
    "memory": lambda _: machine_checks.memory(),
    "disk": lambda config: machine_checks.disk(config.workspace),
    "workspace": lambda config: machine_checks.workspace(config.workspace),
    "patient key": machine_checks.patient_key,
    "catalog": lambda config: machine_checks.catalog(config.catalog),
    "lidcflow up": machine_checks.serving,
    "PACS": lambda config: machine_checks.pacs(config.access.pacs),
    "sources": machine_checks.sources,
    "targets": machine_checks.targets,
    "release": machine_checks.release,
    "network": lambda _: machine_checks.silence(),
}
FULL: dict[str, Check] = {"Keras": lambda _: keras_check.started()}
"""Checks that `--full` makes in another way, which takes seconds."""


class Diagnosis(BaseModel):
    """One line of `lidcflow doctor`."""

    check: str
    level: Level
    found: str
    way_out: str


def examine(name: str, config: Config, *, full: bool = False) -> Diagnosis:
    """Run one of `CHECKS`, or its form in `FULL`; an error of lidcflow's own becomes a failure with its sentence."""
    check = FULL.get(name, CHECKS[name]) if full else CHECKS[name]
    try:
        level, found, way_out = check(config)
    except LidcflowError as error:
        level, (found, way_out) = Level.FAIL, split_sentence(error)
    return Diagnosis(check=name, level=level, found=found, way_out=way_out)
