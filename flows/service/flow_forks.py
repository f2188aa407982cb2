"""Start runs of flows from a process that has imported them: ``python -P -m flows.service.flow_forks SOCKET``.

A run that begins as a process of its own spends seconds of CPU time on importing Prefect, Dask and the flows. A fork of
this process begins at once. `flows.service.fork_client` stands for it where Prefect's worker looks for its process.
"""

from __future__ import annotations

import gc
import os
import runpy
import sys
import warnings
from importlib import import_module
from typing import NoReturn

from prefect.context import SettingsContext, get_settings_context
from prefect.settings import Settings

from flows.environment import WHOLE_CONFIG
from flows.service.fork_server import ForkServer
from lidcflow.config import Config


def modules_for(config: Config) -> list[str]:
    """Return what to import: what all runs need, and what an answer to a study waits for.

    Training and drift run seldom: they import MLflow and pandas themselves, which would take 180 MB here.
    """
    modules = ["prefect.engine", "prefect.flow_engine", "distributed"]
    if config.inboxes:
        modules.append("flows.inbox")
    if config.delivery.to:
        modules.append("lidcflow.documents.encode")
    return modules


def run_engine() -> None:
    """Run the flow that the environment names, as ``python -m prefect.engine`` does."""
    warnings.filterwarnings("ignore", ".*found in sys.modules", RuntimeWarning)
    with SettingsContext(profile=get_settings_context().profile, settings=Settings()):
        runpy.run_module("prefect.engine", run_name="__main__")


def main(path: str, config: Config) -> NoReturn:
    """Import what runs need, and keep it out of later searches for garbage, which would copy its memory; then serve."""
    for module in modules_for(config):
        import_module(module)
    gc.collect()
    gc.freeze()
    ForkServer(path, run_engine).serve()


if __name__ == "__main__":
    main(sys.argv[1], Config.model_validate_json(os.environ[WHOLE_CONFIG]))
