"""Targets of documents, parsed once: a PACS over STOW-RS, or a folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lidcflow.config import Access
from lidcflow.documents.write import write_documents
from lidcflow.errors import ConfigError, ResourceError
from lidcflow.pacs.address import PacsService
from lidcflow.source.places import PacsSource, parse_source


@dataclass(frozen=True)
class FolderTarget:
    """A folder of this machine.

    Parameters
    ----------
    text : str
        The target as its user wrote it: what the configuration and the ledger keep.
    """

    text: str

    def __str__(self) -> str:
        return self.text

    @property
    def service(self) -> None:
        """None: a folder is no service."""
        return None

    @property
    def folder(self) -> Path:
        """The folder."""
        return Path(self.text)

    def check(self) -> None:
        """Raise for a wrong target before anything starts.

        Raises
        ------
        ConfigError
            If the folder does not exist, is no folder, or can't be written.
        """
        check_folder(self.folder)

    def bring(self, made: Mapping[str, bytes], place: Path, *, created_ns: int) -> None:
        """Write the documents of one answer; brought twice, they are there once.

        Parameters
        ----------
        made : mapping of str to bytes
            File names and documents.
        place : Path
            Where they lie in the folder.
        created_ns : int
            When the answer was made, in ns since 1970.

        Raises
        ------
        ResourceError
            If the folder is gone.
        OSError
            If the folder can't be written.
        """
        _check_still_there(self.folder)
        write_documents(made, self.folder.absolute() / place, created_ns=created_ns)


@dataclass(frozen=True)
class PacsTarget:
    """A PACS that documents are stored in.

    Parameters
    ----------
    source : PacsSource
        The service.
    """

    source: PacsSource

    def __str__(self) -> str:
        return self.text

    @property
    def text(self) -> str:
        """The target as its user wrote it."""
        return self.source.text

    @property
    def service(self) -> PacsService:
        """The DICOMweb service.

        Raises
        ------
        SourceError
            If the PACS is not in the configuration.
        """
        return self.source.service

    def check(self) -> None:
        """Raise for a wrong target before anything starts.

        Raises
        ------
        ConfigError
            If the PACS is named with a study or series.
        SourceError
            If the PACS is not in the configuration.
        """
        if self.source.place.study is not None:
            raise ConfigError("delivery.to: a PACS must be named without study and series; use pacs:NAME")

    def bring(self, made: Mapping[str, bytes], _place: Path, *, created_ns: int) -> None:  # noqa: ARG002
        """Send the documents of one answer; a target stores documents that are sent twice once.

        Raises
        ------
        PacsError
            If the PACS is away, or refuses a document.
        """
        from lidcflow.pacs.send import store_all  # HTTP and pydicom, which those who only check targets do without

        store_all(self.service, made.values())


DeliveryTarget = FolderTarget | PacsTarget


def parse_target(text: str, access: Access) -> DeliveryTarget:
    """Parse the text of a target: what is no PACS is a folder.

    Parameters
    ----------
    text : str
        ``pacs:NAME``, or a folder.
    access : Access
        How a PACS is reached.
    """
    source = parse_source(text, access)
    return PacsTarget(source) if isinstance(source, PacsSource) else FolderTarget(text)


def check_folder(folder: Path) -> None:
    """Raise unless documents can be written into a folder.

    Raises
    ------
    ConfigError
        If it does not exist, is no folder, or can't be written.
    """
    if not folder.is_dir():
        found = "something else" if folder.exists() else "nothing there"
        raise ConfigError(f"delivery.to: {folder} must be a folder that exists, got {found}; make it, or name another")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(
            f"delivery.to: the folder {folder} must be writable, got one that is not; change its permissions, or name "
            "another"
        )


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
