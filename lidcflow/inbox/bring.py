"""Bring documents to where they go: a PACS over STOW-RS, or a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lidcflow.config import Access
from lidcflow.documents.write import write_documents
from lidcflow.errors import PacsError, ResourceError
from lidcflow.pacs.client import Pacs
from lidcflow.pacs.places import is_pacs, place_of
from lidcflow.pacs.send import store


def bring(made: Mapping[str, bytes], target: str, place: Path, *, created_ns: int, access: Access) -> None:
    """Bring the documents of one answer to a target; brought twice, they are there once.

    Parameters
    ----------
    made : mapping of str to bytes
        File names and documents.
    target : str
        ``pacs:NAME``, or a folder.
    place : Path
        Where they lie in a folder.
    created_ns : int
        When the answer was made, in ns since 1970.
    access : Access
        How a PACS is reached.

    Raises
    ------
    PacsError
        If the PACS is away, or refuses a document.
    ResourceError
        If the folder is gone.
    OSError
        If the folder can't be written.
    """
    if is_pacs(target):
        _send(made, target, access)
    else:
        _check_still_there(Path(target))
        write_documents(made, Path(target).absolute() / place, created_ns=created_ns)


def _check_still_there(folder: Path) -> None:
    """Raise if a folder is gone: it may be a disk that is not mounted, and to make it would fill another disk.

    Raises
    ------
    ResourceError
        If it is gone.
    """
    if not folder.is_dir():
        raise ResourceError(
            f"delivery.to: the folder {folder} must be there to be delivered to, got nothing; mount or make it"
        )


def _send(made: Mapping[str, bytes], target: str, access: Access) -> None:
    service = place_of(target, access).service
    with Pacs(service) as pacs:
        sent = store(pacs, made.values())
    if sent.failed or sent.untold:
        codes = ", ".join("none" if code is None else f"0x{code:04X}" for code in sent.failed.values()) or "none"
        raise PacsError(
            f"{service.title}: must store {len(made)} documents, got {len(sent.stored)} stored and refusals with the "
            f"failure reasons {codes}; look at its log"
        )
