"""Where series come from: so far a folder of this machine. Prefect is not imported here."""

from pathlib import Path

from lidcflow.config import Config
from lidcflow.ct.series import Index, index_folder
from lidcflow.errors import SourceError
from lidcflow.privacy import load_secret
from tasks.cluster import local_workers
from tasks.progress import stage


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


def find_series(source: str, config: Config) -> Index:
    """Read every header under a source and judge each series.

    Raises
    ------
    SourceError
        If the source is not a folder, or holds no DICOM image.
    """
    folder = source_folder(source)
    with stage("index") as indexing:
        return index_folder(
            folder,
            secret=load_secret(config.patient_key, config.workspace),
            config=config.preprocess,
            on_progress=indexing.reach,
            workers=local_workers(config.cluster),
        )
