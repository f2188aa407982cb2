"""State of a workspace: store, catalog, releases, runs, recommendations, drift, disk. Writes only the store's size."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, Field

from flows.service.flow_runs import RunStatus, last_runs
from flows.service.inbox_status import InboxStatus, inbox_status, round_faults
from flows.service.kept_status import KeptStatus, kept_status
from flows.service.lock import Served, served
from flows.service.password import known_password
from flows.service.place_checks import source_faults, target_faults
from flows.service.servers import has_remote_tracking
from lidcflow.catalog.database import is_missing_sqlite
from lidcflow.catalog.series import Catalog
from lidcflow.config import Config
from lidcflow.disk import nearest_folder
from lidcflow.drift.record import last_drift_check
from lidcflow.erase.tombstones import tombstones_in
from lidcflow.errors import LidcflowError
from lidcflow.release.last_check import last_retraining_check
from lidcflow.report.page import DATA
from lidcflow.store.locate import committed_series, is_store
from lidcflow.store.size import StoreSize
from tasks.tracking.place import Tracking
from tasks.tracking.releases import list_releases

PACKAGES = ("lidcflow", "prefect", "mlflow", "dask", "keras", "zarr", "pydicom")

Facts = TypeVar("Facts")


class LastReport(BaseModel):
    """When a report was last written, and how many there are."""

    when: datetime
    reports: int


class LastDrift(BaseModel):
    """The newest check for drift: its release, its result, and the quantities that drifted."""

    when: datetime
    release: str
    verdict: str
    patients: int
    drifted: list[str]


def last_report(reports: Path) -> LastReport | None:
    """Read the dates of the reports only; their contents may cover thousands of series."""
    written_s = [file.stat().st_mtime for file in reports.glob(f"*/*/{DATA}")]
    if not written_s:
        return None
    return LastReport(when=datetime.fromtimestamp(max(written_s), UTC), reports=len(written_s))


def last_drift(checks: Path) -> LastDrift | None:
    """Read the newest check."""
    check = last_drift_check(checks)
    if check is None:
        return None
    return LastDrift(
        when=check.checked,
        release=f"{check.release} version {check.version}",
        verdict=check.verdict,
        patients=check.patients,
        drifted=[one.name for one in check.alarms],
    )


def low_disk(free_bytes: int, low_gib: float) -> str | None:
    """Return a sentence when the workspace's disk is nearly full."""
    free_gib = free_bytes / 2**30
    if free_gib >= low_gib:
        return None
    return (
        f"disk of the workspace: must have {low_gib:g} GiB free, got {free_gib:.1f} GiB; free some, "
        "or set serve.disk_low_gib"
    )


class StoreStatus(BaseModel):
    """Contents of the Zarr store.

    Parameters
    ----------
    size_bytes : int or None
        None in a bucket, which does not add up its objects.
    """

    series: int
    size_bytes: int | None


class ReleasesStatus(BaseModel):
    """Contents of the registry, and the release in force."""

    releases: int
    champion: int | None
    champion_created: datetime | None
    champion_synthetic: bool | None
    champion_erased: tuple[str, ...] = ()
    champion_pinned: bool | None = None
    faults: tuple[str, ...] = ()


class RetrainStatus(BaseModel):
    """The last check whether it is time to train again."""

    checked: datetime
    outcome: str
    why: str


class ErasureStatus(BaseModel):
    """Numbers of erased patients, studies and series, and the erasures that were interrupted."""

    done: int
    cut_short: list[str]


class Status(BaseModel):
    """All data of `lidcflow status`; None where there is nothing yet."""

    workspace: Path
    exists: bool
    service: Served | None
    store: StoreStatus | None
    catalog: dict[str, int] | None
    releases: ReleasesStatus | None
    retraining: RetrainStatus | None
    erasures: ErasureStatus | None
    runs: list[RunStatus] | None
    reading: LastReport | None
    inbox: InboxStatus | None
    drift: LastDrift | None
    kept: KeptStatus
    disk_free_bytes: int
    versions: dict[str, str]
    problems: list[str] = Field(default_factory=list)
    notice: str = "Research use only."


def status_of(config: Config) -> Status:
    """Collect the status of a workspace; unreadable parts become sentences in `problems`."""
    problems: list[str] = []
    service = served(config.workspace)
    releases = _or_problem(lambda: _releases(config), problems)
    erasures = _or_problem(lambda: _erasures(config.catalog), problems)
    inbox = _or_problem(lambda: inbox_status(config.catalog), problems)
    problems += _remarks(releases, erasures)
    problems += [*source_faults(config), *target_faults(config), *round_faults(inbox)]
    free_bytes = shutil.disk_usage(nearest_folder(config.workspace)).free
    if low := low_disk(free_bytes, config.serve.disk_low_gib):
        problems.append(low)
    return Status(
        workspace=config.workspace.absolute(),
        exists=config.workspace.is_dir(),
        service=service,
        store=_or_problem(lambda: _store(config), problems),
        catalog=_or_problem(lambda: _catalog(config.catalog), problems),
        releases=releases,
        retraining=_retraining(config.workspace),
        erasures=erasures,
        runs=_or_problem(lambda: _runs(config.prefect_home, service), problems),
        reading=last_report(config.reports_path),
        inbox=inbox,
        drift=last_drift(config.drift_path),
        kept=kept_status(config),
        disk_free_bytes=free_bytes,
        versions={package: version(package) for package in PACKAGES},
        problems=problems,
    )


def _or_problem(read: Callable[[], Facts | None], problems: list[str]) -> Facts | None:
    try:
        return read()
    except LidcflowError as error:
        problems.append(str(error))
        return None


def _store(config: Config) -> StoreStatus | None:
    if not is_store(config.store_root, config.access):
        return None
    series, folder = len(committed_series(config.store_root, config.preprocess, config.access)), config.store_folder
    return StoreStatus(series=series, size_bytes=None if folder is None else StoreSize(folder).size_bytes(series))


def _catalog(url: str) -> dict[str, int] | None:
    if is_missing_sqlite(url):
        return None
    with Catalog(url) as catalog:
        return {state.value: count for state, count in catalog.counts().items()}


def _releases(config: Config) -> ReleasesStatus | None:
    if not has_remote_tracking(config.tracking_uri) and is_missing_sqlite(config.tracking_uri):
        return None
    releases = list_releases(Tracking.of(config))
    champion = next((release for release in releases if release.champion), None)
    record = champion.record if champion else None
    return ReleasesStatus(
        releases=len(releases),
        champion=champion.version if champion else None,
        champion_created=record.created if record else None,
        champion_synthetic=record.synthetic if record else None,
        champion_erased=champion.erased if champion else (),
        champion_pinned=record.pinned if record else None,
        faults=tuple(release.fault for release in releases if release.fault),
    )


def _retraining(workspace: Path) -> RetrainStatus | None:
    last = last_retraining_check(workspace)
    return RetrainStatus(checked=last.checked, outcome=last.outcome, why=last.why) if last else None


def _erasures(catalog: str) -> ErasureStatus | None:
    found = tombstones_in(catalog)
    cut_short = [f"--{stone.subject.kind} {stone.subject.key}" for stone in found if stone.done is None]
    return ErasureStatus(done=len(found) - len(cut_short), cut_short=cut_short) if found else None


def _remarks(releases: ReleasesStatus | None, erasures: ErasureStatus | None) -> list[str]:
    """Return remarks on erasures, and on releases that changed or could change unnoticed."""
    remarks = [
        f"an erasure was cut short; run `lidcflow erase {how}` again"
        for how in (erasures.cut_short if erasures else [])
    ]
    remarks += releases.faults if releases else ()
    if releases and releases.champion_pinned is False:
        remarks.append(
            f"release version {releases.champion} is in force, but was trained before digests were kept; if it is the "
            f"one you trust, run `lidcflow releases {releases.champion} --pin`"
        )
    if releases and releases.champion_erased:
        remarks.append(
            f"release version {releases.champion} is in force, but {releases.champion_erased[-1]}; "
            "`lidcflow retrain` trains another"
        )
    return remarks


def _runs(prefect_home: Path, service: Served | None) -> list[RunStatus] | None:
    if service is None:
        return None
    return last_runs(service.prefect_api_url, known_password(prefect_home))
