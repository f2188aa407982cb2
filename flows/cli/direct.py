"""Infer one series without a flow, where nothing is to be kept in Prefect and all work is done on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from flows.attempt import attempted, can_fork
from flows.cli import lazy
from flows.cli.bars import shown_progress
from flows.cli.session import choose_server
from flows.environment import prepare
from flows.service.named_server import may_name_a_server
from flows.writable import require_places
from lidcflow.config import Config
from lidcflow.config.cluster import LOCAL
from lidcflow.source.places import FolderSource, ImageSource
from tasks.cluster.cores import local_workers
from tasks.cluster.memory import most_bytes
from tasks.cluster.threads import thread_variables

if TYPE_CHECKING:
    from flows.infer_report import InferReport

MOST_FILES = 2000
"""Most files of a folder with one series: listing a larger one twice would cost more than is saved."""


def infer_directly(source: ImageSource, config: Config, out: Path | None) -> InferReport | None:
    """Return the report of a folder with one series; None where a flow is needed, or has to explain what went wrong.

    Parameters
    ----------
    source : ImageSource
        Where the images are.
    config : Config
        Of the workspace.
    out : Path, optional
        Folder of the reports; by default that of the workspace.

    Raises
    ------
    ResourceError
        If the workspace or the folder for temporary files can't be written.
    """
    choose_server(config)
    if not (isinstance(source, FolderSource) and _is_local(config) and can_fork() and _is_small(source.path)):
        return None
    if may_name_a_server(Path(os.environ.get("PREFECT_HOME", config.prefect_home))):
        return None
    require_places(config)
    prepare(config)
    return attempted(
        partial(_infer, source, config, out),
        variables=thread_variables(local_workers(config.cluster.workers), network=True),
        most_bytes=most_bytes(config.cluster.memory_limit),
    )


def _infer(source: FolderSource, config: Config, out: Path | None) -> InferReport | None:
    with shown_progress():
        return lazy.infer_here(source, config, out)


def _is_local(config: Config) -> bool:
    places = {config.cluster.pool(name).place for name in ("preprocess", "train")}
    return places == {LOCAL} and not config.cluster.gpus


def _is_small(folder: Path) -> bool:
    """Return whether a folder has few files."""
    return len(list(islice(_files(folder), MOST_FILES + 1))) <= MOST_FILES


def _files(folder: Path) -> Iterator[str]:
    for _, _, names in os.walk(folder):
        yield from names
