"""The body of an answer, decoded as it comes and bounded in decoded bytes."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

from lidcflow.pacs.retry import Excess, Passing

PIECE_BYTES = 2**18
"""Decoded at a time: a chunk of 64 KiB may stand for 64 MiB."""

_WINDOW_BITS = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}


def decoded(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Undo the one compression that proxies put on answers though none was asked for.

    Parameters
    ----------
    chunks : iterable of bytes
        The body as it comes.
    encoding : str
        Content-Encoding of the answer: none, or one of gzip and deflate.

    Raises
    ------
    Excess
        If the body has another encoding, or several: each layer multiplies what a few bytes stand for.
    Passing
        If the body is damaged, or cut short.

    References
    ----------
    RFC 9110 section 8.4.
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        yield from chunks
    elif name in _WINDOW_BITS:
        yield from _inflated(chunks, _WINDOW_BITS[name])
    else:
        raise Excess("a compression other than gzip or deflate, or several of them")


def bounded(chunks: Iterable[bytes], most_bytes: int) -> Iterator[bytes]:
    """Yield what comes, up to a number of bytes.

    Raises
    ------
    Excess
        If more comes.
    """
    n_bytes = 0
    for chunk in chunks:
        n_bytes += len(chunk)
        if n_bytes > most_bytes:
            raise Excess(f"an answer of more than {most_bytes / 2**20:,.4g} MiB")
        yield chunk


def _inflated(chunks: Iterable[bytes], window_bits: int) -> Iterator[bytes]:
    """Decompress piece by piece; gzip may consist of several members."""
    inflate = zlib.decompressobj(window_bits)
    begun = False
    try:
        for chunk in chunks:
            left, begun = chunk, True
            while left:
                if inflate.eof:
                    inflate = zlib.decompressobj(window_bits)
                if piece := inflate.decompress(left, PIECE_BYTES):
                    yield piece
                left = inflate.unconsumed_tail or inflate.unused_data
        yield inflate.flush()
    except zlib.error:
        raise Passing("a compressed answer that is damaged") from None
    if begun and not inflate.eof:
        raise Passing("an answer that broke off")
