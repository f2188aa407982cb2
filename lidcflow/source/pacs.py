"""The series of a PACS, or of one of its studies."""

from __future__ import annotations

from lidcflow.config import Access
from lidcflow.pacs.client import Pacs
from lidcflow.pacs.places import place_of, series_url
from lidcflow.pacs.query import find_series
from lidcflow.source.files import Listing, PacsSeries


def list_pacs(source: str, access: Access) -> Listing:
    """List the series that a PACS says it holds; what they consist of is found when their headers are read.

    Parameters
    ----------
    source : str
        ``pacs:NAME`` or the address of a DICOMweb service, or of a study or series in it.
    access : Access
        How it is reached.

    Raises
    ------
    SourceError
        If it is no DICOMweb service, or not in the configuration.
    PacsError
        If it is away, or refuses access.
    """
    place = place_of(source, access)
    with Pacs(place.service) as pacs:
        found = find_series(pacs, place)
    series = [
        PacsSeries(series_url(place.service, one.study_instance_uid, one.series_instance_uid), one.n_instances)
        for one in found
    ]
    return Listing(source, (), series=tuple(series))
