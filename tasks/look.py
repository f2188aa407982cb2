"""Look into a source of the inbox: what is there goes into the ledger."""

from __future__ import annotations

from datetime import date

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from lidcflow.config import Config
from lidcflow.ct.series import Index
from lidcflow.erasure.subject import Target
from lidcflow.inbox.delivery import Delivery
from lidcflow.inbox.ledger import Ledger
from lidcflow.inbox.sightings import indexed_sightings, pacs_sightings
from lidcflow.inbox.sources import position_in
from lidcflow.pacs.beginning import first_look, reaches_further_back, what_is_left_out
from lidcflow.pacs.client import Pacs
from lidcflow.pacs.feed import Position, StudyChange, read_feed
from lidcflow.pacs.places import is_pacs, place_of, series_url
from tasks.index import index_places, index_source
from tasks.source import erased_subjects


@task(task_run_name="look", cache_policy=NO_CACHE)
def look(source: str, config: Config, ledger: Ledger, release: int) -> Index | None:
    """Write down what a source shows, and let go on what has settled; a folder's index is returned for reading."""
    if is_pacs(source):
        settle_s = _look_at_pacs(source, config, ledger, release)
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


def _look_at_pacs(source: str, config: Config, ledger: Ledger, release: int) -> float:
    """Read the feed of a PACS; return how long a study must be quiet after what it said."""
    service = place_of(source, config.access).service
    with Pacs(service) as pacs:
        changes, position = _changes_in(pacs, source, ledger)
        erased = erased_subjects(config)
        keys = [
            (change.study_instance_uid, uid)
            for change in changes
            for uid in change.series_instance_uids
            if not any(subject.covers(Target(uid, change.study_instance_uid)) for subject in erased)
        ]
        ledger.see(source, pacs_sightings(pacs, keys), release, position=position.model_dump(mode="json"))
    return 0.0 if service.config.changes else config.delivery.settle_s


def _changes_in(pacs: Pacs, source: str, ledger: Ledger) -> tuple[list[StudyChange], Position]:
    """Read on, or begin with a PACS that was not looked at yet and tell what is left out."""
    position = position_in(ledger, source)
    if position is not None and not reaches_further_back(pacs.service, position):
        return read_feed(pacs, position, date.today())
    changes, reached = first_look(pacs, date.today())
    if sentence := what_is_left_out(source, reached):
        get_run_logger().warning(sentence)
    return changes, reached
