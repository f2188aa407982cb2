"""Compare two copies of an instance: by the bytes of their pixels, else by their decoded values.

Decoders run in a process of their own: a damaged file that crashes one of them, or keeps it busy for ever, must not
end the index.
"""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Sequence
from multiprocessing.connection import Connection

import numpy as np

from lidcflow.config import Access
from lidcflow.dicom.records import SourceSlice
from lidcflow.dicom.syntaxes import PixelLayout, pixel_layout
from lidcflow.errors import SeriesRefused
from lidcflow.pixels.decode import stored_pixels
from lidcflow.pixels.encoded import raw_pixels
from lidcflow.pixels.open import slice_opener

DECODE_WITHIN_S = 600.0
"""Patience for all copies of a series: 2,000 compressed slices take about 60 s on one core."""

Pair = tuple[SourceSlice, SourceSlice]


def differing(pairs: Sequence[Pair], access: Access) -> list[Pair] | None:
    """Return the pairs of slices that are not copies of one image; None where that is unknown.

    Parameters
    ----------
    pairs : sequence of pairs of SourceSlice
        As found by the index.
    access : Access
        How buckets and PACS are reached.
    """
    try:
        unequal = [pair for pair in pairs if not (_are_of_one_kind(pair) and _have_equal_bytes(pair, access))]
        decided = [pair for pair in unequal if _are_of_one_kind(pair) and not _is_encoded(pair)]
        open_ones = [pair for pair in unequal if pair not in decided]
        values = _digests(open_ones, access) if open_ones else []
    except (OSError, SeriesRefused):
        return None
    if values is None:
        return None
    return decided + [pair for pair, (one, other) in zip(open_ones, values, strict=True) if one != other]


def _are_of_one_kind(pair: Pair) -> bool:
    one, other = ((s.pixels, s.slope, s.intercept, s.transfer_syntax_uid) for s in pair)
    return one == other


def _is_encoded(pair: Pair) -> bool:
    """Return whether equal pixels may have different bytes: encoders of one syntax differ."""
    return any(pixel_layout(source.transfer_syntax_uid) is PixelLayout.ENCAPSULATED for source in pair)


def _have_equal_bytes(pair: Pair, access: Access) -> bool:
    one, other = (hashlib.sha256(raw_pixels(source, access)).digest() for source in pair)
    return one == other


def _digests(pairs: Sequence[Pair], access: Access) -> list[tuple[bytes, bytes]] | None:
    """Decode pairs and return the digests of their values; None where a decoder crashed, failed or did not end."""
    if not any(map(_is_encoded, pairs)):
        return [_values_of(pair, access) for pair in pairs]
    # A process of its own: a decoder that crashes or hangs on a damaged file must not end the index.
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_send_digests, args=(there, list(pairs), access), daemon=True)
    process.start()
    there.close()
    try:
        found: list[tuple[bytes, bytes]] | None = here.recv() if here.poll(DECODE_WITHIN_S) else None
    except EOFError:
        found = None
    finally:
        process.kill()
        process.join()
        here.close()
    return found


def _send_digests(there: Connection, pairs: Sequence[Pair], access: Access) -> None:
    try:
        there.send([_values_of(pair, access) for pair in pairs])
    except (OSError, SeriesRefused):
        there.send(None)


def _values_of(pair: Pair, access: Access) -> tuple[bytes, bytes]:
    one, other = (_digest(source, access) for source in pair)
    return one, other


def _digest(source: SourceSlice, access: Access) -> bytes:
    """Hash the values of an image after rescale, without clipping."""
    memory = np.empty((source.pixels.rows, source.pixels.columns), np.uint16)
    with slice_opener([source], access) as opened:
        stored = stored_pixels(source, memory, opened)
    values = stored * np.float64(source.slope) + source.intercept
    return hashlib.sha256(np.array(values.shape).tobytes() + values.tobytes()).digest()
