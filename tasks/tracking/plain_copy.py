"""Copy a folder of this machine into a private one without MLflow: plain files alone, no link is followed."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

MOST_BYTES = 2**30
MOST_FILES = 1000


def copy_plain(source: Path, folder: Path, *, only: str | None = None, most_bytes: int = MOST_BYTES) -> None:
    """Copy the files of a folder.

    Parameters
    ----------
    source, folder : Path
        From where, and to where.
    only : str, optional
        The one file at the top of the folder that is wanted.
    most_bytes : int
        Of all its files together.

    Raises
    ------
    ValueError
        If the folder holds links or devices, lacks the file, has too much in it, or changes meanwhile.
    OSError
        If it can't be read.
    """
    sizes = dict(_local_files(source, only))
    check_sizes(sizes, only, most_bytes)
    for name, size in sizes.items():
        copy = folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        _copy_file(source / name, copy, size)


def check_sizes(sizes: Mapping[str, int], only: str | None, most_bytes: int) -> None:
    """Raise a ValueError if the one file that is wanted is missing, or files are too many or too large."""
    if only is not None and only not in sizes:
        raise ValueError(f"no file {only}")
    if sum(sizes.values()) > most_bytes or len(sizes) > MOST_FILES:
        raise ValueError(f"{sum(sizes.values())} bytes in {len(sizes)} files")


def _local_files(root: Path, only: str | None, below: str = "") -> Iterator[tuple[str, int]]:
    """Yield names and sizes of the files of a folder, following no link."""
    if root.is_symlink():
        raise ValueError("a link in place of the folder")
    with os.scandir(root / below) as entries:
        for entry in sorted(entries, key=lambda one: one.name):
            name, found = f"{below}{entry.name}", entry.stat(follow_symlinks=False)
            if only is not None and name != only:
                continue
            if stat.S_ISDIR(found.st_mode):
                yield from _local_files(root, only, f"{name}/")
            elif stat.S_ISREG(found.st_mode):
                yield name, found.st_size
            else:
                raise ValueError(f"a link or device at {name}")


def _copy_file(file: Path, copy: Path, size: int) -> None:
    """Copy as many bytes as were counted; do not follow a link that has replaced the file since."""
    handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(handle, "rb") as source, copy.open("wb") as target:
        if not stat.S_ISREG(os.fstat(source.fileno()).st_mode) or os.fstat(source.fileno()).st_size != size:
            raise ValueError(f"a file that changes meanwhile at {file.name}")
        shutil.copyfileobj(source, target)
