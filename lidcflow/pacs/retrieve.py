"""WADO-RS: the metadata of a series, and its instances as they lie in the PACS."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from lidcflow.ct.records import Reason
from lidcflow.errors import PacsError, SeriesRefused
from lidcflow.pacs.client import ANSWER_BYTES, Gone, Pacs
from lidcflow.pacs.config import PacsConfig
from lidcflow.pacs.multipart import MOST_PARTS, read_parts
from lidcflow.pacs.patience import PASSING, Patience
from lidcflow.pacs.query import Item

AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
"""Asks for instances in the transfer syntax that they are kept in: without it a server decompresses them."""

METADATA_BYTES, MOST_METADATA_BYTES = 2**16, 256 * 2**20
"""Metadata of an instance take 7 kB, with many private elements some times that."""

SPARE_INSTANCES, SPARE_BYTES = 1000, 256 * 2**20
"""A series may have grown since it was listed, and hold other objects beside its images."""

GIB = 2**30


class Bounds(NamedTuple):
    """The most that is taken of the instances of a series.

    Parameters
    ----------
    n_instances : int
        Instances.
    instance_bytes, series_bytes : int
        Of the longest one, and of all together.
    """

    n_instances: int
    instance_bytes: int
    series_bytes: int


def bounds_of(config: PacsConfig, n_instances: int | None = None, image_bytes: int | None = None) -> Bounds:
    """Return the bounds of what was asked for: twice what a series is known to hold, and some more.

    Parameters
    ----------
    config : PacsConfig
        Of the service: the bounds where nothing is known.
    n_instances : int, optional
        Instances that it is said to have.
    image_bytes : int, optional
        Of the pixels of its largest image, uncompressed.
    """
    most = MOST_PARTS if n_instances is None else min(2 * max(n_instances, 0) + SPARE_INSTANCES, MOST_PARTS)
    largest = int(config.largest_instance_gib * GIB)
    part = largest if image_bytes is None else min(2 * image_bytes + SPARE_BYTES, largest)
    known = n_instances is not None and image_bytes is not None
    series = int(config.largest_series_gib * GIB)
    return Bounds(most, part, min(series, most * (2 * (image_bytes or 0)) + SPARE_BYTES) if known else series)


def metadata(pacs: Pacs, url: str, n_instances: int | None = None) -> list[Item]:
    """Get the metadata of the instances of a series: all attributes but the pixels.

    Parameters
    ----------
    pacs : Pacs
        The service.
    url : str
        Address of the series, or of one instance.
    n_instances : int, optional
        Instances that it is said to have.

    Raises
    ------
    SeriesRefused
        If the series is gone, or is not given while the service answers.
    PacsError
        If the service does not answer.
    """
    with _of_one_series(pacs, url):
        most_bytes = min(max(ANSWER_BYTES, (n_instances or 0) * METADATA_BYTES), MOST_METADATA_BYTES)
        items, _ = pacs.get_json(f"{url}/metadata", most_bytes=most_bytes)
        return [item for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []


def instances(pacs: Pacs, url: str, bounds: Bounds | None = None) -> Generator[bytes, None, None]:
    """Yield the instances of a series as files, one in memory at a time, in the order of the server.

    An answer that breaks off is asked for again from its start, so that an instance may come twice.

    Parameters
    ----------
    pacs : Pacs
        The service.
    url : str
        Address of the series, or of one instance.
    bounds : Bounds, optional
        Of what is taken; by default those of the service's settings.

    Raises
    ------
    SeriesRefused
        If the series is gone, or is not given while the service answers, or is more than was asked for.
    PacsError
        If the service does not answer.

    References
    ----------
    DICOM PS3.18 section 10.4.
    """
    patience = Patience(pacs.service)
    most = bounds or bounds_of(pacs.service.config)
    limits = {"most_parts": most.n_instances, "part_bytes": most.instance_bytes}
    with _of_one_series(pacs, url):
        while True:
            try:
                with pacs.stream(url, AS_STORED, most_bytes=most.series_bytes) as (content_type, chunks):
                    yield from read_parts(chunks, content_type, **limits)
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
