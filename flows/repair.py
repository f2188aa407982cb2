"""Put a workspace in order after crashes: stores, catalog, temporary files. No Prefect run: it is done in seconds."""

import re
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel

from lidcflow.catalog.series import Catalog
from lidcflow.config import Config
from lidcflow.store.commit import sweep_file
from lidcflow.store.record import VolumeRecord
from lidcflow.store.repair import Repaired, repair_store
from lidcflow.store.volumes import VolumeStore
from tasks.cluster.local import remove_scratch
from tasks.progress import stage

SNAPSHOT_DRAFT = re.compile(r"\.[0-9a-f]{12}\.parquet\.[0-9a-f]{8}")


class StoreReport(BaseModel):
    """Result of a repair of one store: what was found, and done about it.

    Parameters
    ----------
    series : int
        Volumes in order.
    damaged : list of str
        SeriesInstanceUIDs of the others.
    damaged_removed : bool
        Whether those were removed, for the next preprocessing to make them again.
    features_removed : int
        Features of other volumes, removed.
    leftovers_removed, in_work, unknown : int
        Unfinished work of dead writers, removed; of living ones, and what lidcflow did not make, left alone.
    """

    store: str
    series: int
    damaged: list[str]
    damaged_removed: bool
    features_removed: int
    leftovers_removed: int
    in_work: int
    unknown: int


class RepairReport(BaseModel):
    """Result of a repair of a workspace: what was found, and done about it.

    Parameters
    ----------
    catalog_changed : int
        Series whose row in the catalog was not what the stores say.
    scratch_removed, drafts_removed : int
        Folders of dead workers; snapshots that were never finished.
    """

    stores: list[StoreReport]
    catalog_changed: int
    scratch_removed: int
    drafts_removed: int
    notice: str = "Research use only."

    @property
    def damaged(self) -> int:
        """Damaged volumes of all stores."""
        return sum(len(store.damaged) for store in self.stores)


def repair(config: Config, *, verify: bool = False) -> RepairReport:
    """Remove leftovers, look at every volume, and write the catalog anew from what is there.

    Raises
    ------
    StoreError
        If a store can't be used as it is, such as one of another version of lidcflow.
    ResourceError
        If a store can't be reached.
    """
    as_of = datetime.now(UTC)
    reports: list[StoreReport] = []
    records: list[VolumeRecord] = []
    for root in (config.inbox_store_root, config.store_root):
        if store := VolumeStore.found(root, config.access):
            found = repaired(store, verify=verify)
            reports.append(store_report(store, found, verify=verify))
            records += found.records
    return RepairReport(
        stores=reports,
        catalog_changed=rebuild_catalog(records, as_of, config.catalog) if reports else 0,
        scratch_removed=remove_scratch(config.scratch_path),
        drafts_removed=remove_snapshot_drafts(config.workspace / "snapshots"),
    )


def repaired(store: VolumeStore, *, verify: bool) -> Repaired:
    """Put one store in order, with progress."""
    with stage("verify" if verify else "look") as looking:
        return repair_store(store, verify=verify, on_volume=looking.reach)


def store_report(store: VolumeStore, found: Repaired, *, verify: bool) -> StoreReport:
    """Sum up what was found in a store."""
    return StoreReport(
        store=store.root,
        series=len(found.records),
        damaged=list(found.damaged),
        damaged_removed=verify,
        features_removed=found.features_removed,
        leftovers_removed=found.swept.removed,
        in_work=found.swept.in_work,
        unknown=found.swept.unknown,
    )


def rebuild_catalog(records: list[VolumeRecord], as_of: datetime, url: str) -> int:
    """Write the catalog anew; a volume of the store goes before one of the same series in the inbox store."""
    with Catalog(url) as catalog:
        return catalog.rebuild_from(records, as_of)


def remove_snapshot_drafts(folder: Path) -> int:
    """Remove snapshots that were never finished."""
    drafts = [file for file in folder.glob(".*") if SNAPSHOT_DRAFT.fullmatch(file.name)]
    return sum(map(sweep_file, drafts))
