"""The deployments of deployments/prefect.yaml, with the values of the configuration filled in."""

import re
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal
from zoneinfo import available_timezones

import yaml
from cronsim import CronSim, CronSimError
from pydantic import BaseModel, ConfigDict, model_validator

from flows.service.servers import with_readers
from lidcflow.config import Config
from lidcflow.errors import ConfigError

PLACEHOLDER = re.compile(r"\{\{ (archive|inbox|config) \}\}")
OVERRIDES = {
    "preprocess": ("cron", "preprocess_cron"),
    "retrain": ("cron", "retrain_cron"),
    "infer": ("interval", "infer_every_s"),
    "drift": ("cron", "drift_cron"),
}
"""Deployment -> the field of its schedule and the key of [serve] that overrides it."""

READS = "infer"
"""Name of the deployment that works on the cluster which keeps the models loaded, where there is one."""


class _Values(BaseModel):
    """Plain values; a key that nobody reads is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Schedule(_Values):
    """When a deployment runs: a cron or an interval in seconds; Prefect updates the schedule of the same slug."""

    cron: str | None = None
    interval: int | None = None
    timezone: str | None = None
    slug: str

    @model_validator(mode="after")
    def _is_a_cron_or_an_interval(self) -> "Schedule":
        if (self.cron is None) == (self.interval is None):
            raise ValueError(f"a schedule must have either a cron or an interval, got {self.cron} and {self.interval}")
        return self

    def __str__(self) -> str:
        return f"every {self.interval} s" if self.interval else f"{self.cron} ({self.timezone or 'UTC'})"


class Trigger(_Values):
    """Events that start a run at once."""

    expect: list[str]


class ConcurrencyLimit(_Values):
    """How many runs of a deployment may overlap, and what happens to one more."""

    limit: int
    collision_strategy: Literal["CANCEL_NEW", "ENQUEUE"]


class WorkPool(_Values):
    """Name of the work pool whose worker runs a deployment."""

    name: str


class Deployment(_Values):
    """One entry of the file; `parameters` are placeholders in the file and values once filled."""

    name: str
    entrypoint: str
    description: str
    tags: list[str]
    parameters: dict[str, Any]
    schedules: list[Schedule]
    triggers: list[Trigger] = []
    concurrency_limit: ConcurrencyLimit
    work_pool: WorkPool
    missing: str | None = None

    @property
    def paused(self) -> bool:
        """Whether a source that it reads is not configured."""
        return self.missing is not None


def read_deployments() -> list[Deployment]:
    """Return the entries of deployments/prefect.yaml as they stand there."""
    text = files("deployments").joinpath("prefect.yaml").read_text(encoding="utf-8")
    return [Deployment.model_validate(entry) for entry in yaml.safe_load(text)["deployments"]]


def scheduled(config: Config) -> list[Deployment]:
    """Return the deployments with parameters and schedules of a configuration.

    Parameters
    ----------
    config : Config
        Paths in it become absolute: a flow run has a working folder of its own.

    Returns
    -------
    list of Deployment
        One whose source is None lacks that parameter and names the key in `missing`.

    Raises
    ------
    ConfigError
        If a cron or the time zone can't be read.
    """
    config = anchored(config)
    return [_filled(deployment, config) for deployment in read_deployments()]


def anchored(config: Config) -> Config:
    """Return a configuration whose local paths don't depend on the working folder."""
    weights = config.train.backbone_weights
    train = config.train.model_copy(update={"backbone_weights": weights.absolute() if weights else None})
    return config.model_copy(
        update={
            "workspace": config.workspace.absolute(),
            "archive": _anchored_source(config.archive) if config.archive else None,
            "inbox": tuple(_anchored_source(source) for source in config.inboxes) or None,
            "train": train,
        }
    )


def _anchored_source(source: str) -> str:
    """Make a folder absolute; URLs and names such as ``idc:lidc_idri`` stay."""
    if re.match(r"[a-z][a-z0-9+.-]*:", source):
        return source
    return str(Path(source).absolute())


def _filled(deployment: Deployment, config: Config) -> Deployment:
    own = with_readers(config) if deployment.name == READS else config
    values = {"archive": config.archive, "inbox": config.inboxes or None, "config": own.model_dump(mode="json")}
    keys = {name: _key(text) for name, text in deployment.parameters.items() if not isinstance(text, bool)}
    missing = [key for key in keys.values() if values[key] is None]
    filled = {name: values[key] for name, key in keys.items() if values[key] is not None}
    return deployment.model_copy(
        update={
            "parameters": {name: value for name, value in deployment.parameters.items() if name not in keys} | filled,
            "schedules": [_overridden(deployment.name, schedule, config) for schedule in deployment.schedules],
            "missing": missing[0] if missing else None,
        }
    )


def _key(text: str) -> str:
    if match := PLACEHOLDER.fullmatch(text):
        return match[1]
    raise ConfigError(
        f"deployments/prefect.yaml: a parameter must be {{{{ archive }}}}, {{{{ inbox }}}} or {{{{ config }}}}, "
        f"got {text!r}; set values in lidcflow.toml"
    )


def _overridden(name: str, schedule: Schedule, config: Config) -> Schedule:
    field, key = OVERRIDES[name]
    changes = {field: getattr(config.serve, key), "timezone": config.serve.timezone if schedule.cron else None}
    changed = schedule.model_copy(update={name: value for name, value in changes.items() if value is not None})
    _check(changed, key)
    return changed


def _check(schedule: Schedule, key: str) -> None:
    if schedule.timezone and schedule.timezone not in available_timezones():
        raise ConfigError(
            f"configuration: serve.timezone must be a name such as Europe/Berlin, got {schedule.timezone!r}"
        )
    if schedule.cron is None:
        return
    try:
        CronSim(schedule.cron, datetime.now(UTC))
    except CronSimError as error:
        raise ConfigError(
            f"configuration: serve.{key} must be a cron expression such as '0 1 * * *', got {schedule.cron!r} ({error})"
        ) from None
