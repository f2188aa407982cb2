"""Find what changed in a PACS since the last poll: Orthanc's change feed, or QIDO-RS polling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict

from lidcflow.dicom.values import is_uid
from lidcflow.errors import SourceError
from lidcflow.pacs.address import PacsPlace
from lidcflow.pacs.client import NotFound, Pacs
from lidcflow.pacs.query import INSTANCE, STUDY, Item, number_in, query_series, search, text_in

STUDY_INSTANCES = "00201208"
"""Number of Study Related Instances."""

CHANGES = 1000
MOST_PAGES = 1000
"""Most pages that one round reads, a million changes; the next round continues with the rest."""

LARGEST_NUMBER = 2**63 - 1
STABLE = "StableStudy"


class Position(BaseModel):
    """Position in a change feed, which the caller stores as JSON.

    Parameters
    ----------
    sequence : int
        Of the last change that was read, where the PACS counts them.
    seen : dict
        Number of instances of each study that was there, where it has to be polled.
    reach : date, optional
        Study date from which the next poll looks, where it is to reach back further than usual.
    since : str, optional
        What the setting of that name was when the PACS was first looked at.
    begun : datetime, optional
        When that was, in UTC.
    left_out : int, optional
        Studies that were there then and are not read, if they could be counted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sequence: int = 0
    seen: dict[str, int] = {}
    reach: date | None = None
    since: str | None = None
    begun: datetime | None = None
    left_out: int | None = None


class StudyChange(BaseModel):
    """A study in which something changed: it came, grew, or became stable.

    Parameters
    ----------
    study_instance_uid : str
        Which one.
    series_instance_uids : tuple of str
        Series of the wanted modality that it has now; none when it has no such series, or was deleted since.
    stable : bool
        Whether the PACS says that nothing came for some time; otherwise it may still be arriving.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    study_instance_uid: str
    series_instance_uids: tuple[str, ...]
    stable: bool


def read_feed(pacs: Pacs, position: Position, today: date) -> tuple[list[StudyChange], Position]:
    """Read the changes since a position; reading again from the same position returns the same changes.

    Parameters
    ----------
    pacs : Pacs
        The service; its settings say whether it has a feed.
    position : Position
        From `lidcflow.pacs.backlog.read_backlog` the first time; ``Position()`` returns every change once.
    today : date
        Day of the PACS: polling looks at studies of the last ``poll_days`` days.

    Returns
    -------
    list of StudyChange
        Each study once, in the order of its last change.
    Position
        Where to go on, once all of them are kept.

    Raises
    ------
    PacsError, SourceError
        If the service is away, refuses access, or is none.
    """
    stable = feed_of(pacs) is not None
    studies, reached = _stable_studies(pacs, position) if stable else _grown_studies(pacs, position, today)
    return [_change(pacs, study, stable=stable) for study in studies], reached


def feed_of(pacs: Pacs) -> str | None:
    """Return the address of the feed of changes; None where the PACS has to be polled."""
    changes = pacs.service.config.changes
    return changes and changes.rstrip("/")


def check_feed(pacs: Pacs) -> None:
    """Ask the feed of changes, where the settings name one, for how far it is.

    Raises
    ------
    PacsError
        If it is away, or refuses access.
    SourceError
        If it is no such feed.
    """
    if feed_of(pacs):
        newest_change(pacs)


def newest_change(pacs: Pacs) -> int:
    """Return the sequence number of the last change in the feed."""
    page, _ = pacs.get_json(str(feed_of(pacs)), {"last": ""})
    last = number_of_page(page, "Last")
    if last is None:
        raise SourceError(f"{pacs.service.title}: changes must be Orthanc's feed, got other JSON; check its URL")
    return last


def _change(pacs: Pacs, study: str, *, stable: bool) -> StudyChange:
    found = query_series(pacs, PacsPlace(pacs.service, study))
    uids = tuple(series.series_instance_uid for series in found)
    return StudyChange(study_instance_uid=study, series_instance_uids=uids, stable=stable)


def _stable_studies(pacs: Pacs, position: Position) -> tuple[list[str], Position]:
    """Read Orthanc's feed to its end; a database that was made anew counts from one again."""
    feed = str(feed_of(pacs))
    at = position.sequence if position.sequence <= newest_change(pacs) else 0
    stable: dict[str, None] = {}
    for _ in range(MOST_PAGES):
        page, _ = pacs.get_json(feed, {"since": str(at), "limit": str(CHANGES)})
        for resource in _stable_resources(page):
            stable.pop(resource, None)
            stable[resource] = None
        last = max(at, number_of_page(page, "Last") or 0)
        done = last == at or page.get("Done") is not False
        at = last
        if done:
            break
    root = feed.rpartition("/")[0]
    uids = [uid for resource in stable if (uid := _study_uid(pacs, f"{root}/studies/{resource}"))]
    return uids, position.model_copy(update={"sequence": at})


def _stable_resources(page: Any) -> Iterator[str]:
    changes = page.get("Changes") if isinstance(page, Mapping) else None
    for change in changes if isinstance(changes, list) else []:
        resource = change.get("ID") if isinstance(change, Mapping) else None
        if isinstance(resource, str) and change.get("ChangeType") == STABLE and resource.replace("-", "").isalnum():
            yield resource


def _study_uid(pacs: Pacs, url: str) -> str | None:
    """Return the UID of a study by Orthanc's own name of it, None when it was deleted since."""
    try:
        study, _ = pacs.get_json(url)
    except NotFound:
        return None
    tags = study.get("MainDicomTags") if isinstance(study, Mapping) else None
    uid = tags.get("StudyInstanceUID") if isinstance(tags, Mapping) else None
    return uid if isinstance(uid, str) and is_uid(uid) else None


def number_of_page(page: Any, key: str) -> int | None:
    """Return a number of the feed that a database can hold; None where there is none."""
    value = page.get(key) if isinstance(page, Mapping) else None
    return value if isinstance(value, int) and 0 <= value <= LARGEST_NUMBER else None


def _grown_studies(pacs: Pacs, position: Position, today: date) -> tuple[list[str], Position]:
    """Compare the number of instances of each recent study with what was there before."""
    there = studies_there(pacs, position, today)
    reached = position.model_copy(update={"seen": there, "reach": None})
    return [uid for uid, n in there.items() if position.seen.get(uid) != n], reached


def studies_there(pacs: Pacs, position: Position, today: date) -> dict[str, int]:
    """Return the number of instances of each study that polling looks at."""
    wanted = {"ModalitiesInStudy": pacs.service.config.modality, "includefield": STUDY_INSTANCES}
    first_day = _first_day(pacs, position, today)
    if first_day != date.min:
        wanted["StudyDate"] = f"{first_day:%Y%m%d}-"
    found = search(pacs, "/studies", wanted, STUDY)
    return {uid: _n_instances(pacs, uid, item) for item in found if is_uid(uid := text_in(item, STUDY))}


def _first_day(pacs: Pacs, position: Position, today: date) -> date:
    """Return the study date that a poll begins at: some days ago, unless the beginning is earlier or later."""
    config = pacs.service.config
    usual = today - timedelta(days=config.poll_days)
    return position.reach or (max(usual, config.since) if isinstance(config.since, date) else usual)


def _n_instances(pacs: Pacs, uid: str, item: Item) -> int:
    """Return the number of instances of a study, counted where the service does not report it."""
    told = number_in(item, STUDY_INSTANCES)
    if told is not None:
        return told
    try:
        return sum(1 for _ in search(pacs, f"/studies/{uid}/instances", {}, INSTANCE))
    except NotFound:
        return 0
