"""Open slices for their pixels: files where they lie, objects fetched ahead, a PACS's series as it comes."""

from __future__ import annotations

import io
import os
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import BinaryIO, cast

from lidcflow.config import Access
from lidcflow.dicom.records import SourceSlice, VerdictReason
from lidcflow.dicom.syntaxes import SYNTAXES, PixelLayout
from lidcflow.errors import SeriesRefused
from lidcflow.headers.fingerprint import begins_as, object_begins_as
from lidcflow.pixels.from_pacs import Arrived, arriving
from lidcflow.source.bucket import Fetched, FileRange, fetch_range
from lidcflow.source.location import InBucket, InPacs, OnDisk, location_of
from lidcflow.source.versions import version_of

AHEAD = 8
"""Slices under way while one is worked on: 4 MiB of 512 x 512 pixels."""

AHEAD_BYTES = 32 * 2**20
"""Memory for them: of larger slices fewer are under way."""

SPARE_BYTES = 2**16
"""Bytes beyond twice the size of the pixels up to which a compressed slice is read."""

Opener = Callable[[SourceSlice], BinaryIO]
"""Opens a slice, and refuses one that changed since it was indexed."""


class SliceFile(io.FileIO):
    """The file of a slice, opened for its pixels.

    Parameters
    ----------
    path : str
        The file.
    source : SourceSlice
        What the index said of it.
    """

    def __init__(self, path: str, source: SourceSlice) -> None:
        super().__init__(path, "rb")
        self._source = source
        found = os.fstat(self.fileno())
        self.size_bytes, self.version = found.st_size, version_of(found)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file.

        Raises
        ------
        SeriesRefused
            If the file was written to since it was opened: what was read may be half of one image and half of another.
        """
        same = kind is not None or version_of(os.fstat(self.fileno())) == self.version
        super().__exit__(kind, error, trace)
        if not same:
            raise changed(self._source, "was written to while it was read")


def open_file(source: SourceSlice) -> BinaryIO:
    """Open the file of a slice, and check that the file still has the header that was indexed.

    The header is compared by its bytes: UIDs, patient, geometry, rescale and layout of the pixels are all in them.

    Parameters
    ----------
    source : SourceSlice
        As found by the index.

    Raises
    ------
    SeriesRefused
        If the file is not as long as when its header was read, or begins otherwise.
    OSError
        If it is gone or can't be read.
    """
    file = SliceFile(source.path, source)
    fault = _fault(file, source)
    if fault:
        file.close()
        raise changed(source, fault)
    return cast(BinaryIO, file)


def _fault(file: SliceFile, source: SourceSlice) -> str | None:
    """Return how a file differs from what was indexed; None if it is the same."""
    if file.size_bytes != source.file_bytes:
        return _other_size(source, file.size_bytes)
    if not source.mark:
        return None
    if source.frame_number is None:
        same = begins_as(file.fileno(), source.mark)
    else:
        same = object_begins_as(source.path, file.version, source.mark)
    return None if same else "has another header now"


@contextmanager
def slice_opener(slices: Sequence[SourceSlice], access: Access) -> Iterator[Opener]:
    """Yield a function that opens slices, one after the other, in the order in which they are named here.

    Parameters
    ----------
    slices : sequence of SourceSlice
        What will be opened.
    access : Access
        How buckets and PACS are reached.
    """
    lying: defaultdict[type, list[SourceSlice]] = defaultdict(list)
    for source in slices:
        lying[type(location_of(source.path))].append(source)
    with ExitStack() as stack:
        openers: dict[type, Opener] = {OnDisk: open_file}
        if objects := lying[InBucket]:
            openers[InBucket] = stack.enter_context(_fetching(objects, access))
        if instances := lying[InPacs]:
            openers[InPacs] = stack.enter_context(arriving(instances, access))
        only_files = len(openers) == 1
        yield open_file if only_files else lambda source: openers[type(location_of(source.path))](source)


def as_it_came(file: BinaryIO, source: SourceSlice) -> SourceSlice:
    """Return a slice with the place of its pixels: of a PACS it is known when the instance has come.

    Parameters
    ----------
    file : binary stream
        The slice, opened.
    source : SourceSlice
        As found by the index.
    """
    return file.source if isinstance(file, Arrived) else source


def refused(source: SourceSlice, found: str) -> SeriesRefused:
    """Make the refusal of a slice that is not as it was indexed."""
    sentence = (
        f"instance {source.sop_instance_uid}: the file must stay as it was indexed, but it {found}; "
        "index the source again"
    )
    return SeriesRefused(VerdictReason.UNREADABLE, sentence)


def changed(source: SourceSlice, found: str) -> SeriesRefused:
    """Make the refusal of a slice whose file has changed since it was indexed."""
    return SeriesRefused(VerdictReason.CHANGED, refused(source, found).sentence)


def _other_size(source: SourceSlice, found_bytes: int) -> str:
    return f"has {found_bytes} bytes where its header pass saw {source.file_bytes}"


def compressed_bytes(source: SourceSlice) -> int:
    """Return how much is read of a compressed slice at most."""
    there = source.item_bytes or source.file_bytes - source.pixel_offset
    return min(there, 2 * source.pixels.n_bytes + SPARE_BYTES)


@contextmanager
def _fetching(objects: Sequence[SourceSlice], access: Access) -> Iterator[Opener]:
    """Context manager: yields what opens objects, which are fetched before they are asked for."""
    with ThreadPoolExecutor(AHEAD) as pool:
        try:
            yield _opener_ahead(objects, pool, access)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _opener_ahead(objects: Sequence[SourceSlice], pool: ThreadPoolExecutor, access: Access) -> Opener:
    longest_bytes = max(stop - start for start, stop in map(_range, objects))
    waiting = iter(objects)
    under_way: deque[Future[Fetched]] = deque()

    def fetch_next() -> None:
        for source in waiting:
            under_way.append(pool.submit(fetch_range, source.path, *_range(source), access))
            return

    def opened(source: SourceSlice) -> BinaryIO:
        fetch_next()
        return _part(source, under_way.popleft().result())

    for _ in range(min(AHEAD, AHEAD_BYTES // longest_bytes)):
        fetch_next()
    return opened


def _part(source: SourceSlice, fetched: Fetched) -> FileRange:
    if fetched.size_bytes != source.file_bytes:
        raise changed(source, _other_size(source, fetched.size_bytes))
    if source.version and fetched.version != source.version:
        raise changed(source, "has another content than when it was listed")
    return FileRange(fetched.content, _range(source)[0])


def _deflated(source: SourceSlice) -> tuple[int, int]:
    return 0, min(source.file_bytes, 2 * (source.pixel_offset + source.pixels.n_bytes) + SPARE_BYTES)


def _pixels(source: SourceSlice) -> tuple[int, int]:
    return source.pixel_offset, source.pixel_offset + source.pixels.n_bytes


def _encapsulated(source: SourceSlice) -> tuple[int, int]:
    return source.pixel_offset, source.pixel_offset + compressed_bytes(source)


_RANGES: dict[PixelLayout, Callable[[SourceSlice], tuple[int, int]]] = {
    PixelLayout.LITTLE_ENDIAN: _pixels,
    PixelLayout.BIG_ENDIAN: _pixels,
    PixelLayout.DEFLATED: _deflated,
    PixelLayout.ENCAPSULATED: _encapsulated,
}


def _range(source: SourceSlice) -> tuple[int, int]:
    """Return the part of the file that `decode` reads: its first byte, and the one after the last."""
    return _RANGES[SYNTAXES[source.transfer_syntax_uid].layout](source)
