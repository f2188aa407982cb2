"""Where series come from: so far a folder of this machine."""

from pathlib import Path

from lidcflow.errors import SourceError


def source_folder(source: str) -> Path:
    """Return the folder that a source names, so that a wrong one is told before anything starts.

    Raises
    ------
    SourceError
        If it is not there, or is something other than a folder.

    Examples
    --------
    >>> source_folder(".")
    PosixPath('.')
    """
    folder = Path(source)
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise SourceError(f"source {source}: must be a folder of this machine, got {found}; check the path")
    return folder
