"""Files of a workspace about single series: answers, results of experiments."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

import pandas as pd

from lidcflow.errors import ErasureError

VALIDATION_ROWS, CANDIDATE_ROWS, NODULE_ROWS = "validation.parquet", "candidates.parquet", "nodules.parquet"
"""Files of `lidcflow.learn.train` with the validation slices of a sector; Keras is not imported here."""


def require_inside(folder: Path, workspace: Path) -> None:
    """Refuse to delete in a folder that lies outside the workspace, whatever link leads to it.

    A copy of the workspace has the same link, and would delete what belongs to the original.

    Raises
    ------
    ErasureError
        If it lies elsewhere.
    """
    if not is_inside(folder, workspace):
        raise ErasureError(
            f"erase: {folder.name} must lie in the workspace {workspace}, but a link leads out of it; put a mount "
            "there instead of the link, for a copy of the workspace would delete what belongs to the original"
        )


def is_inside(path: Path, workspace: Path) -> bool:
    """Return whether a path lies in a workspace once every link is followed."""
    return path.resolve().is_relative_to(workspace.resolve())


def report_folders(reports: Path, uids: Collection[str]) -> list[Path]:
    """List the folders with the answers on series, whatever study they lie under; what a link leads to is not ours."""
    studies = [folder for folder in reports.iterdir() if _is_own_folder(folder)] if reports.is_dir() else []
    return sorted(folder for study in studies for uid in uids if _is_own_folder(folder := study / uid))


def _is_own_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def delete_folders(folders: Collection[Path]) -> None:
    """Delete folders, and those around them that they leave empty."""
    for folder in folders:
        shutil.rmtree(folder)
        if not any(folder.parent.iterdir()):
            folder.parent.rmdir()


def kept_trainings(folder: Path, uids: Collection[str]) -> list[Path]:
    """List the folders of unfinished trainings, of sectors and of nodules, whose rows name any of the series."""
    names = (VALIDATION_ROWS, CANDIDATE_ROWS, NODULE_ROWS)
    found = sorted(file for name in names for file in folder.glob(f"*/*/{name}")) if folder.is_dir() else []
    return [file.parent for file in found if _has_rows(file, uids)]


def _has_rows(file: Path, uids: Collection[str]) -> bool:
    """Return whether a file names any of the series; one that was cut short may, and is made again."""
    try:
        rows = pd.read_parquet(file, columns=["series_instance_uid"])
    except (OSError, ValueError):  # pyarrow's errors are of these kinds
        return True
    return bool(rows["series_instance_uid"].isin(list(uids)).any())


def files_that_name(folder: Path, pattern: str, uids: Collection[str]) -> list[Path]:
    """List the text files that name any of the series."""
    files = sorted(folder.glob(pattern)) if folder.is_dir() else []
    wanted = [f'"{uid}"'.encode() for uid in uids]
    return [file for file in files if _names_any(file.read_bytes(), wanted)]


def _names_any(content: bytes, wanted: Collection[bytes]) -> bool:
    return any(name in content for name in wanted)
