"""Choose what is old enough to be deleted; nothing is deleted here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lidcflow.catalog.series import Catalog
from lidcflow.inbox.delivery import OPEN
from lidcflow.inbox.ledger import Ledger
from lidcflow.report.folder import report_keys
from lidcflow.report.marks import FILE as MARKS
from lidcflow.report.page import DATA

GIB = 2**30


@dataclass(frozen=True)
class SeriesUse:
    """The inference series of a workspace, with their reports and volumes.

    Parameters
    ----------
    used : mapping of str to datetime
        When each SeriesInstanceUID was last read or preprocessed.
    reports : mapping of str to Path
        Folder of each series' report.
    protected : collection of str
        Series without an answer, and those that readers marked: nothing of them is deleted, however old.
    """

    used: Mapping[str, datetime]
    reports: Mapping[str, Path]
    protected: Collection[str]


def series_uses(reports: Path, catalog: str) -> SeriesUse:
    """Gather when each series was last used, and what protects it."""
    folders = {key.series: reports / key.study / key.series for key in report_keys(reports)}
    with Catalog(catalog) as series, Ledger(catalog) as ledger:
        used = {row.series_instance_uid: row.updated for row in series.rows()}
        waiting = {row.series_instance_uid for row in ledger.rows(OPEN)}
    for uid, folder in folders.items():
        read = _time_of(folder)
        used[uid] = max(read, used.get(uid, read))
    marked = {uid for uid, folder in folders.items() if (folder / MARKS).exists()}
    return SeriesUse(used, folders, waiting | marked)


def expired(uids: Collection[str], known: SeriesUse, before: datetime) -> list[str]:
    """Return the series that were last used before a time and that nothing protects, oldest first.

    One of which nobody knows when it was used stays.
    """
    old = [uid for uid in uids if uid not in known.protected and known.used.get(uid, before) < before]
    return sorted(old, key=lambda uid: (known.used[uid], uid))


def beyond_size(
    uids: Collection[str], known: SeriesUse, before: datetime, *, limit_bytes: float, size_of: Callable[[str], int]
) -> list[str]:
    """Return the oldest series whose volumes must go for the rest to fit; those used since a time stay anyhow."""
    sizes = {uid: size_of(uid) for uid in uids}
    excess, chosen = sum(sizes.values()) - limit_bytes, []
    for uid in expired(uids, known, before):
        if excess <= 0:
            break
        chosen.append(uid)
        excess -= sizes[uid]
    return chosen


def folder_bytes(folder: Path) -> int:
    """Return the size of the files under a folder; what goes away meanwhile counts for nothing."""
    total = 0
    for file in folder.rglob("*") if folder.is_dir() else ():
        try:
            total += file.stat().st_size if file.is_file() else 0
        except OSError:
            continue
    return total


def _time_of(folder: Path) -> datetime:
    """Return when a report was written; of one whose deletion was cut short, when that was."""
    file = folder / DATA
    return datetime.fromtimestamp((file if file.exists() else folder).stat().st_mtime).astimezone()
