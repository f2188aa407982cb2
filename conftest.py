"""What every collection of tests begins with, also one of a single module's examples."""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from absl import logging as absl_logging
from dask.system import CPU_COUNT

from flows.environment import prepare
from lidcflow.config import Config
from tests.templates import PLACE

FLOWS = Path(__file__).parent / "tests" / "flows"
SERVERS = {"prefect_server", "orthanc_server", "training_cluster"}
"""Fixtures that start processes which serve for minutes."""

PROCESS_BYTES = 3 * 2**30
"""Most memory of a process of tests with the servers that it starts."""


def pytest_configure(config: pytest.Config) -> None:
    """Set the environment before any test module imports Prefect: its home must not be the developer's own."""
    home = tempfile.TemporaryDirectory(prefix="lidcflow-tests-", ignore_cleanup_errors=True)
    config.add_cleanup(home.cleanup)
    os.environ.setdefault(PLACE, home.name)  # xdist's workers inherit the folder of the process that starts them
    prepare(Config(workspace=Path(home.name)))
    # Keras' import makes absl's handler, and Prefect's import closes all handlers. This one closes its stream with it,
    # the one that pytest captures with, unless it is that of the process.
    absl_logging.get_absl_handler().python_handler.setStream(sys.__stderr__)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return how many processes test at once: three on two cores, since a quarter of the tests' time is waiting."""
    room = psutil.virtual_memory().available // PROCESS_BYTES
    return max(1, min(CPU_COUNT * 3 // 2, room))


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Ignore modules with neither tests nor examples: collecting one means importing it, and what it needs."""
    holds_tests = collection_path.suffix != ".py" or collection_path.name.startswith("test_")
    return None if holds_tests or ">>>" in collection_path.read_text("utf-8") else True


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Look for garbage once when all is collected, and never again in what stays until the end: the modules.

    Else Python looks through them again and again: an eighth of the CPU time of a collection.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of whole flows first, and mark those that need a server.

    The files of flows take longest: one that began last would be waited for.
    """
    items.sort(key=lambda item: not item.path.is_relative_to(FLOWS))
    for item in items:
        if SERVERS.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("servers")
        if "objects" in getattr(item, "fixturenames", ()):
            item.add_marker("objects")
