"""Bounds small enough to be reached."""

import zlib

MIB = 2**20


def spaces(mib):
    """Compress so many MiB of blanks: they stand for a thousandth of that."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    return b"".join([*(deflate.compress(b" " * MIB) for _ in range(mib)), deflate.flush()])
