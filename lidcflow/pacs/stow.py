"""STOW-RS: send instances to a PACS."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lidcflow.ct.values import is_uid
from lidcflow.errors import PacsError
from lidcflow.pacs.client import Pacs
from lidcflow.pacs.query import Item, number_in, text_in, values_of

STORED, FAILED = "00081199", "00081198"
REFERENCED_UID, FAILURE_REASON = "00081155", "00081197"
BATCH_BYTES = 64 * 2**20
"""Sent in one request; documents take some kilobytes, a slice half a megabyte."""


@dataclass(frozen=True)
class Stored:
    """What became of instances that were sent.

    Parameters
    ----------
    stored : frozenset of str
        SOPInstanceUIDs that the PACS holds now.
    failed : dict
        Failure Reason (0008,1197) of those that it refused, None where it named none.
    """

    stored: frozenset[str]
    failed: dict[str, int | None]


def store(pacs: Pacs, contents: Iterable[bytes]) -> Stored:
    """Send instances; the same instance sent twice is held once, so that a request may be repeated.

    Parameters
    ----------
    pacs : Pacs
        The service.
    contents : iterable of bytes
        Instances as files (PS3.10).

    Raises
    ------
    PacsError
        If the service is away, refuses access, or does not say what became of the instances.
    SourceError
        If it is no DICOMweb service.

    References
    ----------
    DICOM PS3.18 section 10.5; PS3.4 annex GG for the failure reasons.
    """
    stored: set[str] = set()
    failed: dict[str, int | None] = {}
    for batch in _batches(contents):
        answer = _send(pacs, batch)
        stored |= {text_in(item, REFERENCED_UID) for item in _items(answer, STORED)}
        failed |= {text_in(item, REFERENCED_UID): number_in(item, FAILURE_REASON) for item in _items(answer, FAILED)}
    return Stored(frozenset(filter(is_uid, stored)), failed)


def _send(pacs: Pacs, batch: Sequence[bytes]) -> Item:
    boundary = uuid.uuid4().hex
    content_type = f'multipart/related; type="application/dicom"; boundary={boundary}'
    status, answer = pacs.post(f"{pacs.service.url}/studies", _body(batch, boundary.encode()), content_type)
    if not isinstance(answer, dict) or not (STORED in answer or FAILED in answer):
        raise PacsError(
            f"{pacs.service.title}: the PACS must say what became of {len(batch)} instances, got status {status} "
            "without it; look there whether they came"
        )
    return answer


def _body(batch: Sequence[bytes], boundary: bytes) -> bytes:
    head = b"--" + boundary + b"\r\nContent-Type: application/dicom\r\n\r\n"
    return b"".join(part for content in batch for part in (head, content, b"\r\n")) + b"--" + boundary + b"--\r\n"


def _batches(contents: Iterable[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    for content in contents:
        if batch and sum(map(len, batch)) + len(content) > BATCH_BYTES:
            yield batch
            batch = []
        batch.append(content)
    if batch:
        yield batch


def _items(answer: Item, tag: str) -> list[Any]:
    return [item for item in values_of(answer, tag) if isinstance(item, dict)]
