"""Delete what is older than the configuration keeps: volumes that were only read, reports, long logs."""

from __future__ import annotations

import logging
import shutil
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prefect import get_run_logger

from flows.config import Settings, is_of_a_deployment, resolve_config
from flows.flow import flow
from lidcflow.catalog.locks import at_work
from lidcflow.catalog.series import Catalog
from lidcflow.config import Config
from lidcflow.retention.expired import GIB, SeriesUse, beyond_size, expired, folder_bytes, series_uses
from lidcflow.retention.logs import shorten_logs
from lidcflow.retention.record import CleanUp, keep_clean_up
from lidcflow.store.commit import remove
from lidcflow.store.place import SERIES
from lidcflow.store.volumes import VolumeStore

TURN_WITHIN_S = 1800.0
"""Time that the scheduled clean-up waits for a round through the inbox to end."""

ASIDE = ".removed"
"""Folder among the reports where one lies while it is deleted."""


@flow(name="clean")
def clean(config: Settings = None) -> CleanUp:
    """Delete what the section [retention] of the configuration keeps no longer, while nobody reads or preprocesses.

    Parameters
    ----------
    config : Config, optional
        Settings over those of the worker.
    """
    patience_s = TURN_WITHIN_S if is_of_a_deployment() else None
    return clean_up(resolve_config(config), get_run_logger(), patience_s=patience_s)


def clean_up(
    config: Config,
    log: logging.Logger | logging.LoggerAdapter[logging.Logger],
    *,
    patience_s: float | None = None,
    dry_run: bool = False,
) -> CleanUp:
    """Delete what has expired; a clean-up that is killed is completed by the next one.

    Parameters
    ----------
    log : Logger
        Is told of every series of which something is deleted.
    patience_s : float, optional
        Time to wait for a round through the inbox to end; as `at_work` waits unless given.
    dry_run : bool
        Only count.

    Raises
    ------
    TurnTaken
        If series are being read or an erasure is under way.
    """
    now = datetime.now(UTC)
    with ExitStack() as turns:
        for stage in ("inbox", "infer"):
            turns.enter_context(
                at_work(config.workspace, stage, alone=True, catalog=config.catalog, patience_s=patience_s)
            )
        known = series_uses(config.reports_path, config.catalog)
        volumes, volume_bytes = clean_volumes(config, known, now, log, dry_run=dry_run)
        reports, report_bytes = clean_reports(config, known, now, log, dry_run=dry_run)
    if not dry_run:
        shorten_logs(config.workspace / "logs")
    done = clean_report(
        config, known, now, deleted=(set(volumes), set(reports)), freed_bytes=volume_bytes + report_bytes
    )
    if not dry_run:
        keep_clean_up(config.workspace, done)
    return done


def clean_volumes(
    config: Config,
    known: SeriesUse,
    now: datetime,
    log: logging.Logger | logging.LoggerAdapter[logging.Logger],
    *,
    dry_run: bool,
) -> tuple[list[str], int]:
    """Delete expired volumes of the inbox store; return whose they were and their size."""
    store = VolumeStore.found(config.inbox_store_root, config.access)
    if store is None:
        return [], 0
    uids = store.series_uids()
    chosen = chosen_volumes(uids, config, known, now)
    sizes = {uid: _volume_bytes(config.inbox_store_folder, uid) for uid in chosen}
    if chosen and not dry_run:
        _tell_catalog(config, chosen)  # first: what a kill leaves undeleted is found in the store again
    for uid in () if dry_run else chosen:
        store.delete(uid)
        log.info("series %s: its volume was deleted, last used %s", uid, known.used[uid].date())
    return chosen, sum(sizes.values())


def chosen_volumes(uids: list[str], config: Config, known: SeriesUse, now: datetime) -> list[str]:
    """Return the volumes that have expired by age, or by the size of the store; those that drift compares stay."""
    settings, needed = config.retention, timedelta(days=config.drift.days)
    chosen = []
    if settings.inbox_store_days is not None:
        chosen = expired(uids, known, now - max(timedelta(days=settings.inbox_store_days), needed))
    folder = config.inbox_store_folder
    if settings.inbox_store_gib is not None and folder:
        left = [uid for uid in uids if uid not in set(chosen)]
        limit_bytes = settings.inbox_store_gib * GIB
        chosen += beyond_size(
            left, known, now - needed, limit_bytes=limit_bytes, size_of=lambda uid: _volume_bytes(folder, uid)
        )
    return chosen


def clean_reports(
    config: Config,
    known: SeriesUse,
    now: datetime,
    log: logging.Logger | logging.LoggerAdapter[logging.Logger],
    *,
    dry_run: bool,
) -> tuple[list[str], int]:
    """Delete expired reports if the configuration asks for it; return whose they were and their size."""
    if config.retention.reports_days is None:
        return [], 0
    before = now - timedelta(days=max(config.retention.reports_days, config.drift.days))
    chosen = expired(list(known.reports), known, before)
    size_bytes = sum(folder_bytes(known.reports[uid]) for uid in chosen)
    shutil.rmtree(config.reports_path / ASIDE, ignore_errors=True)  # of a clean-up that was killed
    for uid in () if dry_run else chosen:
        _remove_report(known.reports[uid], config.reports_path)
        log.info("series %s: its report was deleted, written %s", uid, known.used[uid].date())
    return chosen, size_bytes


def clean_report(
    config: Config, known: SeriesUse, now: datetime, *, deleted: tuple[set[str], set[str]], freed_bytes: int
) -> CleanUp:
    """Sum up what was deleted and what is left."""
    volumes, reports = deleted
    folder, store = config.inbox_store_folder, VolumeStore.found(config.inbox_store_root, config.access)
    kept = [known.used[uid] for uid in (store.series_uids() if store else ()) if uid in known.used]
    reported = [known.used[uid] for uid in known.reports if uid not in reports]
    return CleanUp(
        at=now,
        volumes=len(volumes),
        reports=len(reports),
        freed_bytes=freed_bytes,
        inbox_store_bytes=folder_bytes(folder) if folder else None,
        reports_bytes=folder_bytes(config.reports_path),
        logs_bytes=folder_bytes(config.workspace / "logs"),
        oldest_volume=min(kept, default=None),
        oldest_report=min(reported, default=None),
    )


def _volume_bytes(folder: Path | None, uid: str) -> int:
    return folder_bytes(folder / SERIES / uid) if folder else 0


def _tell_catalog(config: Config, uids: list[str]) -> None:
    """Record in the catalog that volumes are gone, except for series that the training store holds as well."""
    store = VolumeStore.found(config.store_root, config.access)
    trained_on = set(store.series_uids()) if store else set()
    with Catalog(config.catalog) as catalog:
        catalog.record_removed([uid for uid in uids if uid not in trained_on])


def _remove_report(folder: Path, reports: Path) -> None:
    """Take a report out of sight at once, then delete it, and the folder of its study if that is empty now."""
    remove(folder, reports / ASIDE)
    if not any(folder.parent.iterdir()):
        folder.parent.rmdir()
