"""Whether reading goes well: the last one, the last check for drift, room on the disk."""

from datetime import UTC, datetime

from pydantic import BaseModel

from lidcflow.config import Config
from lidcflow.read.report import DATA


class LastReading(BaseModel):
    """When a report was last written, and how many there are."""

    when: datetime
    reports: int


class LastDrift(BaseModel):
    """The newest check for drift: of which release, what it came to, and the quantities that drifted."""

    when: datetime
    release: str
    verdict: str
    patients: int
    drifted: list[str]


def last_reading(config: Config) -> LastReading | None:
    """Look at the dates of the reports; their content may be of thousands of series."""
    written_s = [file.stat().st_mtime for file in config.reports_path.glob(f"*/*/{DATA}")]
    if not written_s:
        return None
    return LastReading(when=datetime.fromtimestamp(max(written_s), UTC), reports=len(written_s))


def last_drift(config: Config) -> LastDrift | None:
    """Read the newest check."""
    from lidcflow.watch.record import last_check

    check = last_check(config.drift_path)
    if check is None:
        return None
    return LastDrift(
        when=check.checked,
        release=f"{check.release} version {check.version}",
        verdict=check.verdict,
        patients=check.patients,
        drifted=[one.name for one in check.alarms],
    )


def low_disk(free_bytes: int, config: Config) -> str | None:
    """Return a sentence when the workspace's disk is nearly full."""
    free_gib = free_bytes / 2**30
    if free_gib >= config.serve.disk_low_gib:
        return None
    return (
        f"disk of the workspace: must have {config.serve.disk_low_gib:g} GiB free, got {free_gib:.1f} GiB; free some, "
        "or set serve.disk_low_gib"
    )
