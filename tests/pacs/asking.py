"""Requests to a PACS that fails now and then."""

from lidcflow.pacs.address import PacsPlace
from lidcflow.pacs.query import query_series
from tests.dicomweb_server import Answer


def series_of(tiny, **settings):
    with tiny.connect(**settings) as pacs:
        return query_series(pacs, PacsPlace(pacs.service))


def redirect(target):
    return lambda *_: Answer(307, headers={"Location": target})
