"""Open slices of a PACS for their pixels: a series comes in one answer and is held in memory, never on a disk."""

from __future__ import annotations

import io
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np

from lidcflow.config import Access
from lidcflow.dicom.facts import Facts
from lidcflow.dicom.geometry import normal_of
from lidcflow.dicom.quiet import quiet
from lidcflow.dicom.records import SourceSlice, VerdictReason
from lidcflow.errors import SeriesRefused
from lidcflow.headers.checks import are_readable, are_whole
from lidcflow.headers.fingerprint import salt_of, seal_of
from lidcflow.headers.header import Header, header_of
from lidcflow.pacs.address import INSTANCES, parse_address, split_instance
from lidcflow.pacs.client import Pacs
from lidcflow.pacs.retrieve import bounds_of, deleted_refusal, instances
from lidcflow.pixels.padding import check_excess

HELD_BYTES = 2**30
"""Most bytes of instances that arrive before their turn, in a server's order: 2,000 slices of 512 x 512."""

WITHIN_MM = 1e-3


class Arrived(io.BytesIO):
    """An instance that has arrived, and its slice with the position of the pixels in the file.

    Parameters
    ----------
    content : bytes
        The instance as a file.
    source : SourceSlice
        What is known of it now.
    """

    def __init__(self, content: bytes, source: SourceSlice) -> None:
        super().__init__(content)
        self.source = source


class Arrivals:
    """The instances of one series, in the order in which they are asked for.

    Parameters
    ----------
    pacs : Pacs
        Where they come from.
    url : str
        Address of the series.
    wanted : sequence of SourceSlice
        What will be asked for, frames of one instance one by one.
    """

    def __init__(self, pacs: Pacs, url: str, wanted: Sequence[SourceSlice]) -> None:
        self._pacs = pacs
        self._url = url
        self._uses = Counter(source.sop_instance_uid for source in wanted)
        self._held: dict[str, tuple[bytes, Header]] = {}
        self._held_bytes = 0
        self._known: dict[Any, Facts] = {}
        frames = max(self._uses.values())
        pixel_bytes = max(source.pixels.n_bytes for source in wanted)
        self._bounds = bounds_of(pacs.service.config, len(self._uses), frames * pixel_bytes)
        self._salt = salt_of(wanted[0].mark)
        self._coming = self._instances("" if len(self._uses) > 1 else wanted[0].sop_instance_uid)

    def open(self, source: SourceSlice) -> BinaryIO:
        """Return an instance that is wanted, as soon as it has come.

        Raises
        ------
        SeriesRefused
            If the PACS does not give it, or it is not as it was indexed.
        PacsError
            If the PACS does not answer.
        """
        uid = source.sop_instance_uid
        if uid not in self._held:
            self._receive(uid)
        content, header = self._held[uid]
        arrived = Arrived(content, _located(source, header, content))
        self._uses[uid] -= 1
        if not self._uses[uid]:
            del self._held[uid]
            self._held_bytes -= len(content)
        return arrived

    def close(self) -> None:
        """Stop what is under way."""
        self._coming.close()

    def _receive(self, uid: str) -> None:
        """Hold what comes before an instance; if it does not come, or that takes too much memory, ask for it alone."""
        for content in self._coming:
            self._hold(content)
            if uid in self._held:
                return
            if self._held_bytes > HELD_BYTES:
                self._coming.close()
        for content in self._instances(uid):
            self._hold(content)
        if uid not in self._held:
            raise deleted_refusal(self._url)

    def _hold(self, content: bytes) -> None:
        header = header_of(content, self._url, self._salt, self._known)
        uid = header.sop_instance_uid if isinstance(header, Header) else ""
        if self._uses[uid] > 0 and uid not in self._held and isinstance(header, Header):
            self._held[uid] = content, header
            self._held_bytes += len(content)

    def _instances(self, uid: str) -> Generator[bytes, None, None]:
        return instances(self._pacs, f"{self._url}{INSTANCES}{uid}" if uid else self._url, self._bounds)


@contextmanager
def arriving(slices: Sequence[SourceSlice], access: Access) -> Iterator[Callable[[SourceSlice], BinaryIO]]:
    """Yield a function that opens slices of a PACS, each once, in the order in which they are named here.

    Parameters
    ----------
    slices : sequence of SourceSlice
        What will be opened; at least one.
    access : Access
        How the PACS is reached.
    """
    wanted: defaultdict[str, list[SourceSlice]] = defaultdict(list)
    for source in slices:
        wanted[split_instance(source.path)[0]].append(source)
    with ExitStack() as stack, quiet():
        arrivals: dict[str, Arrivals] = {}
        for url, own in wanted.items():
            pacs = stack.enter_context(Pacs(parse_address(url, access).service))
            arrivals[url] = stack.enter_context(closing(Arrivals(pacs, url, own)))
        yield lambda source: arrivals[split_instance(source.path)[0]].open(source)


def _located(source: SourceSlice, header: Header, content: bytes) -> SourceSlice:
    """Return where the pixels of a slice lie, once its instance is there and is what the index took it for."""
    found = header.frames[source.frame_number - 1 : source.frame_number] if source.frame_number else (header,)
    if not found or not _as_indexed(source, found[0]):
        raise SeriesRefused(
            VerdictReason.CHANGED,
            f"instance {source.sop_instance_uid}: must come from the PACS as it was indexed, got another; "
            "index the source again",
        )
    are_readable(found)
    are_whole(found)
    check_excess(io.BytesIO(content), found[0], found)
    return replace(
        source,
        pixel_offset=found[0].pixel_offset or 0,
        file_bytes=found[0].file_bytes,
        item_bytes=found[0].item_bytes,
        transfer_syntax_uid=found[0].facts.transfer_syntax_uid,
    )


def _as_indexed(source: SourceSlice, header: Header) -> bool:
    facts = header.facts
    if source.mark and seal_of(facts, salt_of(source.mark)) != source.mark:
        return False
    values = facts.slope, facts.intercept, facts.pixels
    if values != (source.slope, source.intercept, source.pixels) or not (facts.orientation and header.position_mm):
        return False
    z_mm = float(np.dot(header.position_mm, normal_of(facts.orientation)))
    return abs(z_mm - source.z_mm) <= WITHIN_MM
