"""`lidcflow doctor`: the checks, in the order in which people should mend things."""

from collections.abc import Callable

from pydantic import BaseModel

from flows.service import machine_checks
from flows.service.machine_checks import Level, Result, split_sentence
from lidcflow.config import Config
from lidcflow.errors import LidcflowError

CHECKS: dict[str, Callable[[Config], Result]] = {
    "Python": machine_checks.python,
    "packages": machine_checks.packages,
    "Keras": machine_checks.keras,
    "engine": machine_checks.engine,
    "LIDC readings": machine_checks.readings,
    "compact weights": machine_checks.compact_weights,
    "ResNet-50 weights": machine_checks.resnet_weights,
    "memory": machine_checks.memory,
    "disk": machine_checks.disk,
    "workspace": machine_checks.workspace,
    "patient key": machine_checks.patient_key,
    "catalog": machine_checks.catalog,
    "lidcflow up": machine_checks.serving,
    "PACS": machine_checks.pacs,
    "sources": machine_checks.sources,
    "targets": machine_checks.targets,
    "release": machine_checks.release,
    "network": machine_checks.silence,
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
