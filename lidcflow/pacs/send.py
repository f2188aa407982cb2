"""STOW-RS: send instances to a PACS."""

from __future__ import annotations

import io
import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import pydicom
from pydicom.errors import InvalidDicomError

from lidcflow.dicom.values import is_uid
from lidcflow.errors import PacsError
from lidcflow.pacs.address import PacsService
from lidcflow.pacs.client import Pacs
from lidcflow.pacs.query import Item, number_in, text_in, values_of

STORED, FAILED = "00081199", "00081198"
REFERENCED_UID, FAILURE_REASON = "00081155", "00081197"
DUPLICATE = 0x0111
"""Failure reason of a PACS that holds the instance already (PS3.7 annex C)."""

BATCH_BYTES = 64 * 2**20
"""Sent in one request; documents take some kilobytes, a slice half a megabyte."""


@dataclass(frozen=True)
class Stored:
    """Result of sending instances; the PACS's statements about other instances are ignored.

    Parameters
    ----------
    stored : frozenset of str
        SOPInstanceUIDs that the PACS holds now.
    failed : dict
        Failure Reason (0008,1197) of those that it refused, None where it named none.
    untold : frozenset of str
        Those of which it said nothing.
    """

    stored: frozenset[str]
    failed: dict[str, int | None]
    untold: frozenset[str] = frozenset()


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
    sent: set[str] = set()
    stored: set[str] = set()
    failed: dict[str, int | None] = {}
    for batch in _batches(contents):
        uids = {_uid_of(content) for content in batch}
        answer = _send(pacs, batch)
        refused = {uid: number_in(item, FAILURE_REASON) for uid, item in _named(answer, FAILED)}
        held = {uid for uid, _ in _named(answer, STORED)} - refused.keys()
        held |= {uid for uid, reason in refused.items() if reason == DUPLICATE}
        sent |= uids
        stored |= held & uids
        failed |= {uid: reason for uid, reason in refused.items() if uid in uids - held}
    return Stored(frozenset(stored), failed, frozenset(sent - stored - failed.keys()))


def store_all(service: PacsService, documents: Collection[bytes]) -> None:
    """Send documents to a PACS, and raise unless it holds all of them afterwards.

    Parameters
    ----------
    service : PacsService
        The PACS.
    documents : collection of bytes
        Instances as files (PS3.10).

    Raises
    ------
    PacsError
        As `store`, and if the PACS refuses a document.
    SourceError
        As `store`.
    """
    with Pacs(service) as pacs:
        sent = store(pacs, documents)
    if sent.failed or sent.untold:
        codes = ", ".join("none" if code is None else f"0x{code:04X}" for code in sent.failed.values()) or "none"
        raise PacsError(
            f"{service.title}: must store {len(documents)} documents, got {len(sent.stored)} stored and refusals with "
            f"the failure reasons {codes}; look at its log"
        )


def _uid_of(content: bytes) -> str:
    """Return the SOPInstanceUID of a file; of what is none, a text that no PACS can name."""
    try:
        header = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True, specific_tags=["SOPInstanceUID"])
    except (InvalidDicomError, EOFError):
        return ""
    uid = str(header.get("SOPInstanceUID", ""))
    return uid if is_uid(uid) else ""


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


def _named(answer: Item, tag: str) -> Iterator[tuple[str, Item]]:
    """Yield the items of a sequence that name an instance, with its UID."""
    for item in values_of(answer, tag):
        if isinstance(item, dict) and is_uid(uid := text_in(item, REFERENCED_UID)):
            yield uid, item
