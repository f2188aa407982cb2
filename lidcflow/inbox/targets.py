"""Where documents go: a PACS over STOW-RS, or a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lidcflow.config import Access
from lidcflow.documents.write import write_documents
from lidcflow.errors import ConfigError, PacsError
from lidcflow.pacs.client import Pacs
from lidcflow.pacs.places import is_pacs, place_of
from lidcflow.pacs.stow import store


def check_target(target: str, access: Access) -> None:
    """Tell of a wrong target before anything starts.

    Raises
    ------
    ConfigError
        If a PACS is named with a study or series, or a folder does not exist.
    SourceError
        If the PACS is not in the configuration.
    """
    if not is_pacs(target):
        if not Path(target).is_dir():
            raise ConfigError("delivery.to: a folder must exist, got one that does not; make it, or name another")
    elif place_of(target, access).study is not None:
        raise ConfigError("delivery.to: a PACS must be named without study and series; use pacs:NAME")


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
    OSError
        If the folder can't be written.
    """
    if is_pacs(target):
        _send(made, target, access)
    else:
        write_documents(made, Path(target).absolute() / place, created_ns=created_ns)


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
