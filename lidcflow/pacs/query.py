"""QIDO-RS: which series a PACS holds, and which instances they have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from lidcflow.dicom.values import integer_of, is_uid, text_of
from lidcflow.errors import SourceError
from lidcflow.pacs.address import PacsPlace
from lidcflow.pacs.client import NotFound, Pacs
from lidcflow.pacs.retry import unavailable_error

PAGE = 1000
STUDY, SERIES, INSTANCE = "0020000D", "0020000E", "00080018"
MOST_RESULTS = 1_000_000
"""A service that has always more to give is not one of images; the largest archives hold that many CT studies."""

MODALITY = "00080060"
SERIES_INSTANCES = "00201209"
"""Number of Series Related Instances."""

Item = Mapping[str, Any]
"""A study, series or instance in the DICOM JSON model (PS3.18 annex F)."""


class FoundSeries(NamedTuple):
    """A series that a PACS reports; the number of instances is None if the PACS does not report it."""

    study_instance_uid: str
    series_instance_uid: str
    n_instances: int | None


def values_of(item: Item, tag: str) -> list[Any]:
    """Return the values of an attribute, none where it is absent or something else.

    Examples
    --------
    >>> values_of({"00080060": {"vr": "CS", "Value": ["CT"]}}, "00080060")
    ['CT']
    """
    attribute = item.get(tag)
    values = attribute.get("Value") if isinstance(attribute, Mapping) else None
    return values if isinstance(values, list) else []


def text_in(item: Item, tag: str) -> str:
    """Return the first value of an attribute as a text, empty where it is absent."""
    return next((text_of(value) or "" for value in values_of(item, tag) if isinstance(value, str | int)), "")


def number_in(item: Item, tag: str) -> int | None:
    """Return the first value of an attribute as a whole number, None where it is absent or none."""
    return next((integer_of(value) for value in values_of(item, tag)), None)


def search(pacs: Pacs, path: str, params: Mapping[str, str], *keys: str) -> Iterator[Item]:
    """Yield what a query finds, page by page, each once.

    Parameters
    ----------
    pacs : Pacs
        The service.
    path : str
        ``/studies``, ``/series``, ...
    params : mapping
        What is looked for.
    *keys : str
        Tags of the UIDs that tell items apart.

    Raises
    ------
    PacsError
        If the service is away, or refuses access.
    NotFound
        If it does not know the path: it is no DICOMweb service, or the study is not there.
    SourceError
        If it is no DICOMweb service.

    References
    ----------
    DICOM PS3.18 section 8.3.4: a server that gives fewer results than there are says so with a warning.
    """
    seen: set[tuple[str, ...]] = set()
    offset = 0
    while True:
        page = {"limit": str(PAGE), "offset": str(offset)}
        items, headers = pacs.get_json(f"{pacs.service.url}{path}", {**params, **page})
        found = _items(pacs, items)
        fresh = {uids: item for item in found if (uids := tuple(text_in(item, key) for key in keys)) not in seen}
        yield from fresh.values()
        seen |= fresh.keys()
        if len(seen) > MOST_RESULTS:
            raise unavailable_error(pacs.service, f"more than {MOST_RESULTS} results of one query")
        offset += len(found)
        if not fresh or (len(found) < PAGE and "Warning" not in headers):
            return


def query_series(pacs: Pacs, place: PacsPlace) -> list[FoundSeries]:
    """List the series of a place: all of a service or of a study that have the modality of its settings, or the one.

    Raises
    ------
    PacsError, SourceError
        As for `search`; a study that is not there has no series.
    """
    wanted = {"SeriesInstanceUID": place.series} if place.series else {"Modality": place.service.config.modality}
    path = f"/studies/{place.study}/series" if place.study else "/series"
    try:
        items = search(pacs, path, {**wanted, "includefield": SERIES_INSTANCES}, STUDY, SERIES)
        series = [_series(item, place) for item in items if _is_wanted(item, place)]
    except NotFound:
        if place.study is None:
            raise
        pacs.check_answers()
        return []
    return sorted(one for one in series if is_uid(one.study_instance_uid) and is_uid(one.series_instance_uid))


def instance_uids(pacs: Pacs, study: str, series: str) -> frozenset[str]:
    """Return the SOPInstanceUIDs of a series, none when it is not there: two equal sets are the same images.

    Raises
    ------
    PacsError, SourceError
        As for `search`.
    """
    if not (is_uid(study) and is_uid(series)):
        raise ValueError("a study and a series must be named by their UIDs, got something else")
    try:
        found = search(pacs, f"/studies/{study}/series/{series}/instances", {}, INSTANCE)
        return frozenset(filter(is_uid, (text_in(item, INSTANCE) for item in found)))
    except NotFound:
        pacs.check_answers()
        return frozenset()


def _items(pacs: Pacs, answer: Any) -> list[Item]:
    items = [] if answer is None else answer
    if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
        raise SourceError(f"{pacs.service.title}: must answer in the DICOM JSON model, got other JSON; check its URL")
    return items


def _is_wanted(item: Item, place: PacsPlace) -> bool:
    """Filter an answer again, because servers ignore query keys that they do not support."""
    if place.series:
        return text_in(item, SERIES) == place.series
    return text_in(item, MODALITY) in ("", place.service.config.modality)


def _series(item: Item, place: PacsPlace) -> FoundSeries:
    return FoundSeries(place.study or text_in(item, STUDY), text_in(item, SERIES), number_in(item, SERIES_INSTANCES))
