"""Version of a file: the file system's evidence on whether its content may have changed."""

from __future__ import annotations

import os

NS_PER_S = 10**9


def version_of(found: os.stat_result) -> str:
    """Return what changes whenever a file is written, exchanged or given other times.

    The time of modification can be set back, as unpacking an archive does. The time of change of the inode can't, and
    another file under the same name has an inode of its own. The number of the device is left out: on network file
    systems that number changes with every mount.

    Parameters
    ----------
    found : stat_result
        Of the file.

    Examples
    --------
    >>> import pathlib
    >>> version_of(pathlib.Path(".").stat()) == version_of(pathlib.Path(".").stat())
    True
    """
    return f"{found.st_mtime_ns:x}.{found.st_ctime_ns:x}.{found.st_ino:x}"


def has_times_of(found: os.stat_result, version: str) -> bool:
    """Return whether a file still has the times of a version; inodes do not last on every file system.

    Parameters
    ----------
    found : stat_result
        Of the file.
    version : str
        From `version_of`.
    """
    return version_of(found).rpartition(".")[0] == version.rpartition(".")[0]


def changed_s(version: str) -> float | None:
    """Return when a file of the disk last changed, in seconds since 1970; None for the version of an object.

    Parameters
    ----------
    version : str
        From `version_of`, or an ETag.

    Examples
    --------
    >>> changed_s("0.3b9aca00.5"), changed_s('"d41d8cd98f00b204e9800998ecf8427e"')
    (1.0, None)
    """
    parts = version.split(".")
    try:
        modified_ns, changed_ns, _ = (int(part, 16) for part in parts)
    except ValueError:
        return None
    return max(modified_ns, changed_ns) / NS_PER_S
