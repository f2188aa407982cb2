"""The deployments of deployments/prefect.yaml, with the schedules of the configuration."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Literal
from zoneinfo import ZoneInfo, available_timezones

import yaml
from cronsim import CronSim, CronSimError
from pydantic import BaseModel, ConfigDict, model_validator

from lidcflow.config import Config, ServeConfig
from lidcflow.errors import ConfigError

OVERRIDES = {
    "preprocess": ("cron", "preprocess_cron"),
    "retrain": ("cron", "retrain_cron"),
    "infer": ("interval", "infer_every_s"),
    "drift": ("cron", "drift_cron"),
    "clean": ("cron", "clean_cron"),
}
"""Deployment -> the field of its schedule and the key of [serve] that overrides it."""

ANCHOR = datetime(2020, 1, 1, tzinfo=UTC)
"""Intervals are counted from here, so that a restart or another deployment does not shift them."""

INBOX = "infer"
"""The deployment that reads the inbox; under `lidcflow up` its interval is kept by `flows.service.poller`."""

SOURCES = {"preprocess": "archive", "infer": "inbox"}
"""Deployment -> the key without which it has nothing to do on schedule."""


class _Values(BaseModel):
    """Plain values; a key that nobody reads is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Schedule(_Values):
    """When a deployment runs: a cron or an interval in seconds; Prefect updates the schedule of the same slug."""

    cron: str | None = None
    interval: int | None = None
    anchor_date: datetime = ANCHOR
    timezone: str | None = None
    slug: str

    @model_validator(mode="after")
    def _is_a_cron_or_an_interval(self) -> Schedule:
        if (self.cron is None) == (self.interval is None):
            raise ValueError(f"a schedule must have either a cron or an interval, got {self.cron} and {self.interval}")
        return self

    def __str__(self) -> str:
        return f"every {self.interval} s" if self.interval else f"{self.cron} ({self.timezone or 'UTC'})"


class Trigger(_Values):
    """Events that start a run at once, and the parameters of that run."""

    type: Literal["event"]
    expect: list[str]
    parameters: dict[str, Any] = {}


class ConcurrencyLimit(_Values):
    """Number of runs of a deployment that may overlap, and the treatment of one more."""

    limit: int
    collision_strategy: Literal["CANCEL_NEW", "ENQUEUE"]


class WorkPool(_Values):
    """The work pool whose worker runs a deployment, and the queue in it."""

    name: str
    work_queue_name: str = "default"


class Deployment(_Values):
    """One entry of the file; without parameters a run takes everything from its worker's configuration."""

    name: str
    entrypoint: str
    description: str
    tags: list[str]
    parameters: dict[str, Any] = {}
    schedules: list[Schedule] = []
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
    """Return the deployments with the schedules of a configuration.

    Returns
    -------
    list of Deployment
        One whose source is not configured names the key in `missing`.

    Raises
    ------
    ConfigError
        If a cron or the time zone can't be read.
    """
    return [_filled(deployment, config) for deployment in read_deployments()]


def interval_of_inbox(config: Config) -> int:
    """Return the seconds between two looks into the inbox."""
    (inbox,) = (deployment for deployment in scheduled(config) if deployment.name == INBOX)
    return next(schedule.interval for schedule in inbox.schedules if schedule.interval)


def last_due(schedule: Schedule, now: datetime) -> datetime | None:
    """Return when a cron was due for the last time; None for an interval.

    Examples
    --------
    >>> last_due(Schedule(cron="0 1 * * *", slug="nightly"), datetime(2026, 1, 2, tzinfo=UTC)).isoformat()
    '2026-01-01T01:00:00+00:00'
    """
    if schedule.cron is None:
        return None
    local = now.astimezone(ZoneInfo(schedule.timezone or "UTC"))
    return next(CronSim(schedule.cron, local, reverse=True)).astimezone(UTC)


def _filled(deployment: Deployment, config: Config) -> Deployment:
    key = SOURCES.get(deployment.name)
    schedules = [_overridden(deployment.name, schedule, config.serve) for schedule in deployment.schedules]
    lacks = key is not None and not getattr(config, key)
    return deployment.model_copy(update={"schedules": schedules, "missing": key if lacks else None})


def _overridden(name: str, schedule: Schedule, serve: ServeConfig) -> Schedule:
    field, key = OVERRIDES[name]
    changes = {field: getattr(serve, key), "timezone": serve.timezone if schedule.cron else None}
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
