"""`lidcflow doctor`: the checks, in the order in which people should mend things."""

from collections.abc import Callable

from pydantic import BaseModel

from flows.service import checks
from flows.service.checks import Level, Result, split_sentence
from lidcflow.config import Config
from lidcflow.errors import LidcflowError

CHECKS: dict[str, Callable[[Config], Result]] = {
    "Python": checks.python,
    "packages": checks.packages,
    "Keras": checks.keras,
    "engine": checks.engine,
    "LIDC readings": checks.readings,
    "compact weights": checks.compact_weights,
    "ResNet-50 weights": checks.resnet_weights,
    "memory": checks.memory,
    "disk": checks.disk,
    "workspace": checks.workspace,
    "patient key": checks.patient_key,
    "catalog": checks.catalog,
    "lidcflow up": checks.serving,
    "PACS": checks.pacs,
    "sources": checks.sources,
    "targets": checks.targets,
    "release": checks.release,
    "network": checks.silence,
}


class Diagnosis(BaseModel):
    """One line of `lidcflow doctor`."""

    check: str
    level: Level
    found: str
    way_out: str


def examine(name: str, config: Config) -> Diagnosis:
    """Run one of `CHECKS`; an error of lidcflow's own becomes a failure with its sentence."""
    try:
        level, found, way_out = CHECKS[name](config)
    except LidcflowError as error:
        level, (found, way_out) = Level.FAIL, split_sentence(error)
    return Diagnosis(check=name, level=level, found=found, way_out=way_out)
