"""Where documents may go: a PACS, or a folder."""

from __future__ import annotations

import os
from pathlib import Path

from lidcflow.config import Access
from lidcflow.errors import ConfigError
from lidcflow.pacs.places import is_pacs, place_of


def check_target(target: str, access: Access) -> None:
    """Tell of a wrong target before anything starts.

    Raises
    ------
    ConfigError
        If a PACS is named with a study or series, or a folder does not exist or can't be written.
    SourceError
        If the PACS is not in the configuration.
    """
    if not is_pacs(target):
        check_folder(Path(target))
    elif place_of(target, access).study is not None:
        raise ConfigError("delivery.to: a PACS must be named without study and series; use pacs:NAME")


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
