"""Files: the SHA-256 of a file and of a folder, as releases pin them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path


def digest_of_file(file: Path) -> str:
    """Return the SHA-256 of a file, 64 hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_of_folder(folder: Path, *, without: Collection[str] = ()) -> str:
    """Return one SHA-256 over the names and contents of all files of a folder.

    Parameters
    ----------
    folder : Path
        Of regular files, in folders of any depth.
    without : collection of str
        Names, relative to the folder, that do not count.

    Returns
    -------
    str
        SHA-256 of what ``sha256sum`` prints of the files, sorted by their names: people can check it without lidcflow.
    """
    files = {str(file.relative_to(folder).as_posix()): file for file in folder.rglob("*") if file.is_file()}
    lines = [f"{digest_of_file(files[name])}  {name}\n" for name in sorted(files) if name not in without]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
