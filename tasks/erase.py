"""The places that keep something of a series, each with what is found there and how it is deleted.

What is found is named item by item, before anything is deleted; deleting may be done again after it was cut short.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

from sqlalchemy import make_url

from lidcflow.catalog.series import Catalog
from lidcflow.config import Config
from lidcflow.dicom.values import is_uid
from lidcflow.erase.found import Found
from lidcflow.erase.history import mask_database, mask_logs, overwrite_deleted
from lidcflow.erase.subject import Subject, Target, covered, merged, unowned
from lidcflow.erase.workspace_files import (
    delete_folders,
    files_that_name,
    kept_trainings,
    report_folders,
    require_inside,
)
from lidcflow.errors import StoreError
from lidcflow.headers.forget import cached_files, cached_instances, cached_series, forget_series
from lidcflow.inbox.ledger import Ledger
from lidcflow.learn.redact import owners_in, snapshot_files
from lidcflow.report.folder import report_keys
from lidcflow.report.marks_table import FeedbackTable
from lidcflow.store.volumes import VolumeStore
from tasks.source import CACHE_FILE
from tasks.tracking.connection import Tracking

LINKABLE = ("reports", "experiments", "trainings", "snapshots", "logs", "prefect", "mlflow")
"""Folders of a workspace in which an erasure deletes or rewrites files, beside the stores."""


def find_targets(subject: Subject, config: Config) -> tuple[Target, ...]:
    """List the series of a subject of which anything is kept, wherever that is."""
    known = series_facts(config)
    found = covered(subject, known)
    if subject.kind == "series":
        found.append(Target(subject.key))
    return merged(found if subject.kind == "series" else [*found, *map(Target, find_unowned(config, known))])


def find_unowned(config: Config, known: Collection[Target]) -> list[str]:
    """List refused series of unknown patients: rows of earlier versions. Any erasure deletes them.

    The next index makes their rows again, with the patient. A volume is never among them.
    """
    stored = {uid for store in stores_of(config) for uid in store.series_uids()}
    return [uid for uid in unowned(known) if uid not in stored]


def series_facts(config: Config) -> list[Target]:
    """List the facts about every series from every place that knows it."""
    return [
        *_in_stores(config),
        *_in_catalogs(config),
        *(Target.of(*owner) for owner in cached_series(config.workspace / CACHE_FILE)),
        *(Target.of(key.series, key.study) for key in report_keys(config.reports_path)),
        *(Target.of(*owner) for file in snapshot_files(config.workspace) for owner in owners_in(file)),
    ]


def require_all_inside(config: Config) -> None:
    """Make sure that no link leads an erasure out of the workspace.

    Raises
    ------
    ErasureError
        If one does.
    """
    stores = filter(None, [config.store_folder, config.inbox_store_folder])
    for folder in [*stores, *_arm_stores(config.workspace), *(config.workspace / name for name in LINKABLE)]:
        require_inside(folder, config.workspace)


def stores_of(config: Config) -> Iterator[VolumeStore]:
    """Yield every store: of training, of inference, and of experiments on volumes of another preprocessing."""
    for root in (config.store_root, config.inbox_store_root, *map(str, _arm_stores(config.workspace))):
        if store := VolumeStore.found(root, config.access):
            yield store


def names_of(subject: Subject, targets: Collection[Target], config: Config) -> frozenset[str]:
    """Return every UID and keyed hash by which a history may name what is erased."""
    uids = {target.series_instance_uid for target in targets}
    names = {*uids, subject.key, *cached_instances(config.workspace / CACHE_FILE, uids)}
    if subject.kind != "series":
        names |= {target.study_instance_uid for target in targets if target.study_instance_uid}
    for store in stores_of(config):
        for uid in uids & set(store.series_uids()):
            names |= set(_instances_in(store, uid))
    return frozenset(names)


def found_in_places(uids: Collection[str], config: Config) -> Found:
    """Name what every place keeps of series, beside trainings and histories."""
    reports = report_folders(config.reports_path, uids)
    return {
        "volumes": {f"{store.root} {uid}": 1 for store in stores_of(config) for uid in _stored(store, uids)},
        "reports": {f"{folder.parent.name} {folder.name}": 1 for folder in reports},
        "header_files": cached_files(config.workspace / CACHE_FILE, set(uids)),
        "catalog_rows": _rows(uids, config),
        "arms": {str(path.relative_to(config.workspace)): 1 for path in _arms(uids, config.workspace)},
    }


def found_in_histories(names: Collection[str], config: Config) -> Found:
    """Count what histories of runs and logs of services say of names."""
    databases = {file.name: mask_database(file, names, only_count=True) for file in histories_of(config)}
    logs = sum(mask_logs(folder, names, only_count=True) for folder in _log_folders(config))
    return {"mentions": {name: count for name, count in {**databases, "logs": logs}.items() if count}}


def mask_histories(names: Collection[str], config: Config) -> None:
    """Mask names in the histories of runs, and in the logs of services."""
    for file in histories_of(config):
        mask_database(file, names)
    for folder in _log_folders(config):
        mask_logs(folder, names)


def delete_volumes(uids: Collection[str], config: Config) -> None:
    """Delete the groups of series, and the drafts of writers that died."""
    for store in stores_of(config):
        for uid in filter(is_uid, uids):
            store.delete(uid)
        store.sweep()


def delete_reports(uids: Collection[str], reports: Path) -> None:
    """Delete the answers on series."""
    delete_folders(report_folders(reports, uids))


def delete_headers(uids: Collection[str], workspace: Path) -> None:
    """Delete the headers of series from the cache."""
    file = workspace / CACHE_FILE
    forget_series(file, uids)
    if file.is_file():
        overwrite_deleted(file)


def delete_arms(uids: Collection[str], workspace: Path) -> None:
    """Delete results of experiments and unfinished trainings that name a series: they are made again."""
    for path in _arms(uids, workspace):
        if path.is_dir():
            delete_folders([path])
        else:
            path.unlink()


def delete_rows(targets: Collection[Target], config: Config, *, whole_studies: bool) -> None:
    """Delete the rows of series from the catalogs, and readers' marks and deliveries of them."""
    uids = [target.series_instance_uid for target in targets]
    studies = {target.study_instance_uid for target in targets if whole_studies and target.study_instance_uid}
    with FeedbackTable(config.catalog) as marks, Ledger(config.catalog) as ledger:
        marks.delete(uids)
        ledger.delete(uids)
        ledger.forget_studies(studies)
    for url in catalogs_of(config):
        with Catalog(url) as catalog:
            catalog.delete(uids)
        if url.startswith("sqlite"):
            overwrite_deleted(Path(make_url(url).database or ""))


def catalogs_of(config: Config) -> list[str]:
    """List the catalogs: the workspace's, and those of experiments on volumes of another preprocessing."""
    arms = sorted(config.workspace.absolute().glob("store-*.db"))
    return [config.catalog, *(f"sqlite:///{file}" for file in arms)]


def histories_of(config: Config) -> list[Path]:
    """List the databases of runs that lie in the workspace: Prefect's, and MLflow's own."""
    files = [config.prefect_home / "prefect.db"]
    if workspace := Tracking.of(config).workspace:
        files.append(workspace / "mlflow" / "mlflow.db")
    return [file for file in files if file.is_file()]


def _log_folders(config: Config) -> list[Path]:
    return [config.workspace / "logs", config.prefect_home]


def _arm_stores(workspace: Path) -> list[Path]:
    return sorted(folder for folder in workspace.glob("store-*") if folder.is_dir())


def _arms(uids: Collection[str], workspace: Path) -> list[Path]:
    """List results of experiments and sectors of unfinished trainings that name a series."""
    files = files_that_name(workspace / "experiments", "*.json", uids)
    return [*files, *kept_trainings(workspace / "trainings", uids)]


def _stored(store: VolumeStore, uids: Collection[str]) -> list[str]:
    return sorted(set(store.series_uids()) & set(uids))


def _instances_in(store: VolumeStore, uid: str) -> Iterator[str]:
    """Yield the SOPInstanceUIDs that a volume was made from; none for a damaged one."""
    try:
        yield from (source.sop_instance_uid for source in store.record(uid).source_slices)
    except StoreError:
        return


def _rows(uids: Collection[str], config: Config) -> dict[str, int]:
    """Count rows by table and series."""
    counts, wanted = Counter[str](), set(uids)
    with FeedbackTable(config.catalog) as marks, Ledger(config.catalog) as ledger:
        for table, owners in (("feedback", marks.owners()), ("deliveries", ledger.owners())):
            for uid, _, count in owners:
                counts[f"{table} {uid}"] += count if uid in wanted else 0
    for number, url in enumerate(catalogs_of(config)):
        with Catalog(url) as catalog:
            for uid in wanted & {owned for owned, _, _ in catalog.owners()}:
                counts[f"catalog {number} {uid}"] = 1
    return dict(+counts)


def _in_stores(config: Config) -> Iterator[Target]:
    for store in stores_of(config):
        for uid, found in store.look_up(store.series_uids()):
            yield Target.of(uid, found.study_instance_uid, found.patient_key) if found else Target.of(uid)


def _in_catalogs(config: Config) -> Iterator[Target]:
    for url in catalogs_of(config):
        with Catalog(url) as catalog:
            for owned in catalog.owners():
                yield Target.of(*owned)
    with FeedbackTable(config.catalog) as marks, Ledger(config.catalog) as ledger:
        for uid, study, _ in [*marks.owners(), *ledger.owners()]:
            yield Target.of(uid, study)
