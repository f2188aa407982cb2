"""List what a PACS holds, and check that it answers."""

from __future__ import annotations

from lidcflow.pacs.address import PacsPlace, PacsService, series_url
from lidcflow.pacs.client import Pacs
from lidcflow.pacs.feed import check_feed
from lidcflow.pacs.query import query_series
from lidcflow.source.files import Listing, PacsSeries


def list_series(source: str, place: PacsPlace) -> Listing:
    """List the series that a PACS reports; their instances are found when their headers are read.

    Parameters
    ----------
    source : str
        The place as its user wrote it.
    place : PacsPlace
        A DICOMweb service, or a study or series in it.

    Raises
    ------
    SourceError
        If it is no DICOMweb service.
    PacsError
        If it is away, or refuses access.
    """
    with Pacs(place.service) as pacs:
        found = query_series(pacs, place)
    series = [
        PacsSeries(series_url(place.service, one.study_instance_uid, one.series_instance_uid), one.n_instances)
        for one in found
    ]
    return Listing(source, (), series=tuple(series), of_pacs=True)


def check_answers(service: PacsService) -> None:
    """Raise unless a PACS answers, its feed of changes too.

    Raises
    ------
    SourceError
        If it is no DICOMweb service.
    PacsError
        If it is away, or refuses access.
    """
    with Pacs(service) as connection:
        connection.check_answers()
        check_feed(connection)
