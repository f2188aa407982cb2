"""WADO-RS: the metadata of a series, and its instances as they lie in the PACS."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager

from lidcflow.ct.records import Reason
from lidcflow.errors import PacsError, SeriesRefused
from lidcflow.pacs.client import Gone, Pacs
from lidcflow.pacs.multipart import read_parts
from lidcflow.pacs.patience import PASSING, Patience
from lidcflow.pacs.query import Item

AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
"""Asks for instances in the transfer syntax that they are kept in: without it a server decompresses them."""


def metadata(pacs: Pacs, url: str) -> list[Item]:
    """Get the metadata of the instances of a series: all attributes but the pixels.

    Parameters
    ----------
    pacs : Pacs
        The service.
    url : str
        Address of the series.

    Raises
    ------
    SeriesRefused
        If the series is gone, or is not given while the service answers.
    PacsError
        If the service does not answer.
    """
    with _of_one_series(pacs, url):
        items, _ = pacs.get_json(f"{url}/metadata")
        return [item for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []


def instances(pacs: Pacs, url: str) -> Generator[bytes, None, None]:
    """Yield the instances of a series as files, one in memory at a time, in the order of the server.

    An answer that breaks off is asked for again from its start, so that an instance may come twice.

    Parameters
    ----------
    pacs : Pacs
        The service.
    url : str
        Address of the series, or of one instance.

    Raises
    ------
    SeriesRefused
        If the series is gone, or is not given while the service answers.
    PacsError
        If the service does not answer.

    References
    ----------
    DICOM PS3.18 section 10.4.
    """
    patience = Patience(pacs.service)
    with _of_one_series(pacs, url):
        while True:
            try:
                with pacs.stream(url, AS_STORED) as answer:
                    yield from read_parts(answer.iter_bytes(), answer.headers.get("Content-Type", ""))
                return
            except PASSING as error:
                patience.wait(error)


def gone(url: str) -> SeriesRefused:
    """Make the refusal of a series that was deleted under way."""
    return SeriesRefused(Reason.GONE, f"series {_uid(url)}: must stay in the PACS while it is read, but it is gone")


@contextmanager
def _of_one_series(pacs: Pacs, url: str) -> Iterator[None]:
    """Tell one series that is not given from a service that is away."""
    try:
        yield
    except Gone:
        pacs.check_answers()
        raise gone(url) from None
    except PacsError as error:
        pacs.check_answers()
        found = str(error).partition(", got ")[2].partition(";")[0]
        raise SeriesRefused(
            Reason.UNREADABLE,
            f"series {_uid(url)}: the PACS must give it whole, got {found}; look at it there, and try again",
        ) from None


def _uid(url: str) -> str:
    return url.partition("/series/")[2].partition("/")[0]
