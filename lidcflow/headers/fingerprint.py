"""Fingerprints: whether a file or an instance in a PACS is still what it was when its header was read.

A seal covers the patient, study, series and geometry of a header. It is keyed by a salt that is made for one index and
kept nowhere: a worker checks the patient of what it retrieves, and needs no key of the patient hash.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Callable
from functools import lru_cache

from lidcflow.dicom.facts import Facts
from lidcflow.dicom.syntaxes import PixelLayout, pixel_layout
from lidcflow.source.versions import version_of

DIGEST_BYTES = 8
"""Bytes of the digest: enough to distinguish headers, as nobody gains from a forged one."""

DEFLATED_BYTES = 16_384
"""Bytes of a deflated file that its mark covers: its pixels have no fixed position."""

CHUNK_BYTES = 2**20

Read = Callable[[int, int], bytes]
"""Returns a number of bytes of a file from an offset on, fewer at its end."""


SALT_BYTES = 16


def marked_bytes(transfer_syntax_uid: str, pixel_offset: int, file_bytes: int) -> int:
    """Return the length of what a mark covers: all before the pixels.

    Parameters
    ----------
    transfer_syntax_uid : str
        How the file is encoded.
    pixel_offset, file_bytes : int
        Where the pixels start, and the size of the file.
    """
    end = DEFLATED_BYTES if pixel_layout(transfer_syntax_uid) is PixelLayout.DEFLATED else pixel_offset
    return min(end, file_bytes)


def mark_of(read: Read, n_bytes: int) -> str:
    """Return the mark of the first bytes of a file: their number and digest.

    Examples
    --------
    >>> mark_of(lambda offset, size: b"header, pixels"[offset : offset + size], 6)
    '6-2d16e0385431b2e3'
    """
    digest, done = hashlib.blake2b(digest_size=DIGEST_BYTES), 0
    while done < n_bytes and (chunk := read(done, min(n_bytes - done, CHUNK_BYTES))):
        digest.update(chunk)
        done += len(chunk)
    return f"{n_bytes:x}-{digest.hexdigest()}"


def begins_as(descriptor: int, mark: str) -> bool:
    """Return whether an open file has a mark.

    Parameters
    ----------
    descriptor : int
        Of the file.
    mark : str
        From `mark_of`.
    """
    return mark_of(_reader(descriptor), int(mark.partition("-")[0], 16)) == mark


@lru_cache(maxsize=4)
def object_begins_as(path: str, version: str, mark: str) -> bool:
    """Return whether a file in one version has a mark; asked for each frame of a multi-frame object, read once.

    Parameters
    ----------
    path : str
        The file.
    version : str
        From `version_of`; another one that lies there now does not have the mark.
    mark : str
        From `mark_of`.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return version_of(os.fstat(descriptor)) == version and begins_as(descriptor, mark)
    finally:
        os.close(descriptor)


def _reader(descriptor: int) -> Read:
    return lambda offset, size: os.pread(descriptor, size, offset)


def new_salt() -> bytes:
    """Return a salt, the key under which headers are read to be sealed."""
    return secrets.token_bytes(SALT_BYTES)


def seal_of(facts: Facts, salt: bytes) -> str:
    """Return the seal of a header.

    Parameters
    ----------
    facts : Facts
        Of the header, read with the salt as key of the patient hash.
    salt : bytes
        From `new_salt`.
    """
    told = [
        facts.patient_key,
        facts.study_instance_uid,
        facts.series_instance_uid,
        facts.frame_of_reference_uid,
        facts.sop_class_uid,
        facts.orientation,
        facts.spacing_mm,
    ]
    return f"{salt.hex()}-{hmac.digest(salt, json.dumps(told).encode(), 'sha256').hex()}"


def salt_of(seal: str) -> bytes:
    """Return the salt of a seal; none of an empty one.

    Examples
    --------
    >>> salt_of("00ff-aa"), salt_of("")
    (b'\\x00\\xff', b'')
    """
    return bytes.fromhex(seal.partition("-")[0])
