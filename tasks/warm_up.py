"""Load what reading a series takes into a process that waits for series."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module

from lidcflow.config import Config
from lidcflow.errors import LidcflowError
from tasks.cluster.early_imports import import_modules
from tasks.infer_series import config_for
from tasks.tracking.in_force import release_in_force

MODULES = ("tasks.candidates", "tasks.infer")
"""Modules that a worker needs for a series."""


def warm_up(config: Config) -> None:
    """Import the code, and load the network and the sector models of the release in force.

    What is wrong with a release is left to the first series, whose answer says it.
    """
    import_modules(MODULES)
    with suppress(LidcflowError):
        release = release_in_force(config)
        if release.sectors:
            import_module("tasks.sector_scores").load_release_models(release, config_for(release, config))
