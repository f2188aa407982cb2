"""Retention times of a workspace, and what the last clean-up left."""

from __future__ import annotations

from pydantic import BaseModel

from flows.service.prefect_database import database_bytes
from lidcflow.config import Config
from lidcflow.retention.record import CleanUp, last_clean_up


class KeptStatus(BaseModel):
    """The section [retention], the size of Prefect's database now, and the last clean-up.

    Parameters
    ----------
    prefect_bytes : int
        0 where `lidcflow up` has never run.
    """

    prefect_days: float
    prefect_bytes: int
    inbox_store_days: float | None
    reports_days: float | None
    last: CleanUp | None


def kept_status(config: Config) -> KeptStatus:
    """Return how long things are kept; volumes and reports that drift compares stay in any case."""
    settings = config.retention
    return KeptStatus(
        prefect_days=settings.prefect_days,
        prefect_bytes=database_bytes(config.prefect_home),
        inbox_store_days=_at_least(settings.inbox_store_days, config.drift.days),
        reports_days=_at_least(settings.reports_days, config.drift.days),
        last=last_clean_up(config.workspace),
    )


def _at_least(days: float | None, least: float) -> float | None:
    return None if days is None else max(days, least)
