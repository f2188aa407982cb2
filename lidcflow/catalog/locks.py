"""Locks of a workspace: one training at a time, and an erasure only while no other process works there.

Each turn is a locked file, so it goes with its process, however that ends. Files hold on one machine; where the catalog
is in PostgreSQL, a turn in its database holds between machines besides (`lidcflow.catalog.turns`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, get_args

from sqlalchemy import make_url

from lidcflow.catalog.turns import check_turns, is_turn_free, turn
from lidcflow.errors import ResourceError, WorkspaceBusy
from lidcflow.file_lock import try_lock
from lidcflow.store import relocation

Stage = Literal["preprocess", "train", "infer", "inbox", "evaluate", "experiment"]

FOLDER = "locks"

SERVED_FILE = "up.json"
"""File that `lidcflow up` keeps locked while it serves the workspace."""

PATIENCE_S = 1.0
"""Time to wait for a process that holds a lock only to test whether it is free."""

_ALL = "workspace"


def holds_between_machines(catalog_url: str) -> bool:
    """Return whether a catalog's database has locks that several machines see.

    Examples
    --------
    >>> holds_between_machines("postgresql+pg8000://me@db/catalog"), holds_between_machines("sqlite:///catalog.db")
    (True, False)
    """
    return make_url(catalog_url).get_backend_name() == "postgresql"


@contextmanager
def at_work(
    workspace: Path, stage: Stage, *, alone: bool = False, catalog: str = "", patience_s: float | None = None
) -> Iterator[None]:
    """Context manager: hold the locks of one stage of the work on a workspace.

    Parameters
    ----------
    workspace : Path
        Made when it is lacking.
    stage : Stage
        What is done.
    alone : bool
        Whether no other process may be at the same stage.
    catalog : str
        SQLAlchemy URL of the catalog.
    patience_s : float, optional
        Time to wait on this machine for another process at the stage, `PATIENCE_S` unless given.

    Raises
    ------
    WorkspaceBusy
        If an erasure is under way, or the stage is to be alone and is not.
    ResourceError
        If the workspace can't be written, or as for `relocate_tracking`.
    """
    erasing = f"workspace {workspace}: an erasure must come to its end first, got one under way; run again after it"
    taken = f"workspace {workspace}: only one {stage} may run at a time, got one under way; run again after it"
    relocate_tracking(workspace)
    with (
        _held(workspace, _ALL, erasing, shared=True),
        _held(workspace, stage, taken, shared=not alone, patience_s=patience_s),
        _held_elsewhere(catalog, _ALL, erasing),
        _held_elsewhere(catalog, stage, taken, alone=alone),
    ):
        yield


@contextmanager
def nobody_else_at_work(workspace: Path, catalog: str = "") -> Iterator[None]:
    """Context manager: lock a workspace exclusively, so that no other process writes what is deleted here.

    Raises
    ------
    ResourceError
        If anything is under way, or as for `relocate_tracking`.
    """
    relocate_tracking(workspace)
    if (workspace / FOLDER / f"{_ALL}.lock").exists():
        others = [stage for stage in get_args(Stage) if is_at_work(workspace, stage)]
    else:
        others = []
    taken = (
        f"workspace {workspace}: nothing else may run during an erasure, got {' and '.join(others) or 'another one'} "
        "under way; stop it, or run again after it"
    )
    with _held(workspace, _ALL, taken), _held_elsewhere(catalog, _ALL, taken, alone=True):
        yield


def relocate_tracking(workspace: Path) -> int:
    """Make MLflow's database name the folder that the workspace lies in, if it was moved or copied.

    Returns
    -------
    int
        Places of artifacts that were rewritten; 0 where the workspace lies where it did.

    Raises
    ------
    ResourceError
        If the database can't be written, or another process uses the workspace by the name that would be replaced.
    """
    if not (former := relocation.former_roots(workspace)):
        return 0
    taken = (
        f"workspace {workspace}: its MLflow database names {former[0]} as its folder, and another process is at work "
        "there under that name; stop it, or use the workspace by the same name"
    )
    with _held(workspace, _ALL, taken), _unserved(workspace, taken):
        return relocation.rewrite(workspace)


def require_turn(catalog: str) -> None:
    """Raise if another machine took over a turn of this process: before a commit to what is not in the catalog.

    Parameters
    ----------
    catalog : str
        SQLAlchemy URL of the catalog.

    Raises
    ------
    WorkspaceBusy
        If one did.
    ResourceError
        If the catalog's database does not answer.
    """
    if holds_between_machines(catalog):
        check_turns(catalog)


def is_at_work(workspace: Path, stage: Stage, catalog: str = "") -> bool:
    """Return whether any process is at a stage."""
    if catalog and holds_between_machines(catalog) and not is_turn_free(catalog, stage):
        return True
    try:
        with open(workspace / FOLDER / f"{stage}.lock", "rb") as stream:
            return not _locked(stream.fileno())
    except FileNotFoundError:
        return False


@contextmanager
def _unserved(workspace: Path, taken: str) -> Iterator[None]:
    """Keep `lidcflow up` from starting, and refuse if it runs."""
    try:
        descriptor = os.open(workspace / SERVED_FILE, os.O_RDONLY)
    except FileNotFoundError:
        yield
        return
    try:
        if not _locked(descriptor, shared=True):
            raise ResourceError(taken)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _held_elsewhere(catalog: str, name: str, taken: str, *, alone: bool = False) -> Iterator[None]:
    """Hold a turn against other machines, where the catalog's database can tell them."""
    if not catalog or not holds_between_machines(catalog):
        yield
        return
    with turn(catalog, name, alone=alone) as held:
        if not held:
            raise WorkspaceBusy(taken)
        yield


@contextmanager
def _held(
    workspace: Path, name: str, taken: str, *, shared: bool = False, patience_s: float | None = None
) -> Iterator[None]:
    patience_s = PATIENCE_S if patience_s is None else patience_s
    folder = workspace / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise ResourceError(
            f"workspace {workspace}: must be writable, got {error.strerror}; choose another one with --workspace"
        ) from None
    try:
        if not _locked(descriptor, shared=shared, patience_s=patience_s):
            raise WorkspaceBusy(taken)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int, *, shared: bool = False, patience_s: float = 0.0) -> bool:
    """Take a lock; where the file system has none (NFS), every one is free."""
    try:
        return try_lock(descriptor, shared=shared, patience_s=patience_s)
    except OSError:
        return True
