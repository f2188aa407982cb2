"""The places that keep something of a series, each with what is found there and how it is deleted.

Every function counts what it deletes; with `dry` it only counts. Each may be run again after it was cut short.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from lidcflow.config import Config
from lidcflow.erasure.files import delete_folders, files_that_name, kept_trainings, report_folders, reported_series
from lidcflow.erasure.snapshots import series_of_patient, snapshot_files
from lidcflow.erasure.subject import Subject, Target, merged
from lidcflow.inbox.ledger import Ledger
from lidcflow.source.forget import cached_series, forget_series
from lidcflow.store.catalog import Catalog
from lidcflow.store.feedback import FeedbackTable
from lidcflow.store.volumes import VolumeStore
from tasks.source import CACHE_FILE


def find_targets(subject: Subject, config: Config) -> tuple[Target, ...]:
    """List the series of a subject of which anything is kept, wherever that is."""
    known = merged([*_in_stores(config), *_in_catalogs(config), *_in_headers(config)])
    found = [target for target in known if subject.covers(target)]
    if subject.kind == "study":
        found += [Target(uid, subject.key) for uid in reported_series(config.reports_path, subject.key)]
    if subject.kind == "series":
        found += [Target(subject.key)]
    if subject.kind == "patient":
        files = snapshot_files(config.workspace)
        found += [Target(uid, None, subject.key) for file in files for uid in series_of_patient(file, subject.key)]
    return merged(found)


def stores_of(config: Config) -> Iterator[VolumeStore]:
    """Yield every store: of training, of inference, and of experiments on volumes of another preprocessing."""
    arms = sorted(folder for folder in config.workspace.glob("store-*") if folder.is_dir())
    for root in (config.store_root, config.reading.store_root, *map(str, arms)):
        if store := VolumeStore.found(root, config.access):
            yield store


def delete_volumes(uids: Collection[str], config: Config, *, dry: bool) -> int:
    """Delete the groups of series, with what dead writers left of others."""
    count = 0
    for store in stores_of(config):
        count += len(set(store.series_uids()) & set(uids))
        if not dry:
            for uid in uids:
                store.delete(uid)
            store.sweep()
    return count


def delete_reports(uids: Collection[str], config: Config, *, dry: bool) -> int:
    """Delete the answers on series."""
    folders = report_folders(config.reports_path, uids)
    if not dry:
        delete_folders(folders)
    return len(folders)


def delete_headers(uids: Collection[str], config: Config, *, dry: bool) -> int:
    """Delete the headers of series from the cache."""
    return forget_series(config.workspace / CACHE_FILE, uids, only_count=dry)


def delete_arms(uids: Collection[str], config: Config, *, dry: bool) -> int:
    """Delete results of experiments and unfinished trainings that name a series: they are made again."""
    files = files_that_name(config.workspace / "experiments", "*.json", uids)
    unfinished = kept_trainings(config.workspace / "trainings", uids)
    if not dry:
        for file in files:
            file.unlink()
        delete_folders(unfinished)
    return len(files) + len(unfinished)


def delete_rows(uids: Collection[str], config: Config, *, dry: bool) -> int:
    """Delete the rows of series from the catalogs, and readers' marks and deliveries of them."""
    with FeedbackTable(config.catalog) as marks, Ledger(config.catalog) as ledger:
        count = marks.delete(uids, only_count=dry) + ledger.delete(uids, only_count=dry)
    for url in catalogs_of(config):
        with Catalog(url) as catalog:
            count += catalog.delete(uids, only_count=dry)
    return count


def catalogs_of(config: Config) -> list[str]:
    """List the catalogs: the workspace's, and those of experiments on volumes of another preprocessing."""
    arms = sorted(config.workspace.absolute().glob("store-*.db"))
    return [config.catalog, *(f"sqlite:///{file}" for file in arms)]


def _in_stores(config: Config) -> Iterator[Target]:
    for store in stores_of(config):
        for uid, found in store.look_up(store.series_uids()):
            yield Target(uid, found.study_instance_uid, found.patient_key) if found else Target(uid)


def _in_catalogs(config: Config) -> Iterator[Target]:
    for url in catalogs_of(config):
        with Catalog(url) as catalog:
            for owned in catalog.owners():
                yield Target(*owned)


def _in_headers(config: Config) -> Iterator[Target]:
    for uid, study, patient in cached_series(config.workspace / CACHE_FILE):
        yield Target(uid, study or None, patient)
