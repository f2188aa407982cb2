"""Look into a source of the inbox: what is there goes into the ledger."""

from __future__ import annotations

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from lidcflow.config import Config
from lidcflow.ct.series import Index
from lidcflow.inbox.delivery import Delivery
from lidcflow.inbox.ledger import Ledger
from lidcflow.inbox.sightings import indexed_sightings, pacs_sightings
from lidcflow.pacs.client import Pacs
from lidcflow.pacs.places import is_pacs, place_of, series_url
from tasks.arrivals import note_pacs
from tasks.index import index_places, index_source


@task(task_run_name="look", cache_policy=NO_CACHE)
def look(source: str, config: Config, ledger: Ledger, release: int) -> Index | None:
    """Write down what a source shows, and let go on what has settled; a folder's index is returned for reading."""
    if is_pacs(source):
        settle_s = note_pacs(source, config, ledger, release, get_run_logger())
        ledger.settle(source, settle_s)
        return None
    index = index_source(source, config, allow_empty=True)
    ledger.see(source, indexed_sightings(index), release)
    ledger.settle(source, config.delivery.settle_s)
    return index


def index_deliveries(deliveries: list[Delivery], source: str, config: Config) -> Index:
    """Read the headers of series in a PACS that are to be worked on."""
    service = place_of(source, config.access).service
    urls = [series_url(service, one.study_instance_uid, one.series_instance_uid) for one in deliveries]
    return index_places(source, urls, config)


def unchanged(deliveries: list[Delivery], source: str, config: Config, ledger: Ledger) -> list[Delivery]:
    """Return the deliveries whose images are still those that were seen; of the others the ledger takes note.

    What has gone stays among them: that is for its answer to say.
    """
    if not is_pacs(source):
        return deliveries
    with Pacs(place_of(source, config.access).service) as pacs:
        keys = [(one.study_instance_uid, one.series_instance_uid) for one in deliveries]
        now = {shown.series_instance_uid: shown for shown in pacs_sightings(pacs, keys)}
    grown = [
        one for one in deliveries if (shown := now.get(one.series_instance_uid)) and shown.instances != one.instances
    ]
    for one in grown:
        ledger.see(source, [now[one.series_instance_uid]], one.release)
    return [one for one in deliveries if one not in grown]
