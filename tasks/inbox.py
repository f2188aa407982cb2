"""Poll one source of the inbox and record what it contains in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from lidcflow.config import Config
from lidcflow.inbox.delivery import Delivery
from lidcflow.inbox.ledger import Ledger
from lidcflow.inbox.sightings import indexed_sightings, pacs_sightings
from lidcflow.pacs.address import series_url
from lidcflow.pacs.client import Pacs
from lidcflow.series.verdicts import Index
from lidcflow.source.location import OnDisk, location_of
from lidcflow.source.places import FolderSource, ImageSource, PacsSource
from tasks.arrivals import note_pacs
from tasks.index import index_places, index_source

CLOCKS_DIFFER_S = 2.0


@task(name="look", task_run_name="look", cache_policy=NO_CACHE)
def poll_source(source: ImageSource, config: Config, ledger: Ledger, release: int) -> Index | None:
    """Write down what a source shows, and let go on what has settled; a folder's index is returned for reading."""
    if isinstance(source, PacsSource):
        settle_s = note_pacs(source, config, ledger, release, get_run_logger())
        ledger.settle(source.text, settle_s)
        return None
    index = index_source(source, config, allow_empty=True)
    ledger.see(source.text, indexed_sightings(index), release)
    ledger.settle(source.text, config.delivery.settle_s)
    return index


def index_deliveries(deliveries: list[Delivery], source: PacsSource, config: Config) -> Index:
    """Read the headers of series in a PACS that are to be worked on."""
    service = source.service
    urls = [series_url(service, one.study_instance_uid, one.series_instance_uid) for one in deliveries]
    return index_places(source.text, [PacsSource(url, source.access) for url in urls], config)


def unchanged(deliveries: list[Delivery], source: ImageSource, ledger: Ledger) -> list[Delivery]:
    """Return the deliveries whose images are still those that were seen; of the others the ledger takes note.

    What has gone stays among them: that is for its answer to say.
    """
    service = source.service
    if service is None:
        return deliveries
    with Pacs(service) as pacs:
        keys = [(one.study_instance_uid, one.series_instance_uid) for one in deliveries]
        now = {shown.series_instance_uid: shown for shown in pacs_sightings(pacs, keys)}
    grown = [
        one for one in deliveries if (shown := now.get(one.series_instance_uid)) and shown.instances != one.instances
    ]
    for one in grown:
        ledger.see(source.text, [now[one.series_instance_uid]], one.release)
    return [one for one in deliveries if one not in grown]


def find_changed_folders(
    deliveries: Sequence[Delivery], index: Index, since_s: float, config: Config, ledger: Ledger
) -> set[int]:
    """Return the deliveries from folders whose series have changed since they were indexed; the ledger takes note.

    Only folders in which files came or went since `since_s` are read again; a PACS is asked at each delivery.
    """
    by_uid = {one.series_instance_uid: one for one in deliveries}
    folders = {Path(one.path).parent for series in index.usable for one in series.slices if _is_on_disk(one.path)}
    if not any(_changed_since(folder, since_s) for folder in folders):
        return set()
    source = deliveries[0].source
    again = indexed_sightings(index_places(source, [FolderSource(str(folder)) for folder in sorted(folders)], config))
    grown = [one for one in again if (own := by_uid.get(one.series_instance_uid)) and one.instances != own.instances]
    for one in grown:
        ledger.see(source, [one], by_uid[one.series_instance_uid].release)
    return {by_uid[one.series_instance_uid].id for one in grown}


def _is_on_disk(path: str) -> bool:
    return isinstance(location_of(path), OnDisk)


def _changed_since(folder: Path, since_s: float) -> bool:
    """Return whether a folder's entries changed; clocks of file servers may be some seconds behind."""
    try:
        return folder.stat().st_mtime >= since_s - CLOCKS_DIFFER_S
    except OSError:
        return False
