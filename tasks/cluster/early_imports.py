"""Import in the workers of a cluster, while they wait, what their tasks will need."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module

from lidcflow.garbage import uncollected
from tasks.cluster.connect import connected

TRAINERS = ("tasks.train", "lidcflow.learn.train", "mlflow.keras")
"""Modules that a worker needs for its first sector, 7 s of CPU."""


@contextmanager
def importing(address: str, modules: Sequence[str]) -> Iterator[None]:
    """Import modules in every worker of a scheduler while the block runs, in the background.

    The block may end earlier: a worker finishes its import before it takes the next task. A module that can't be
    imported is left to the task that needs it, whose error says so.

    Parameters
    ----------
    address : str
        Of the Dask scheduler.
    modules : sequence of str
        Their names, in the order of their import.
    """
    with connected(address) as client:
        workers = client.scheduler_info()["workers"]
        imports = [client.submit(import_modules, modules, workers=[one], pure=False) for one in workers]
        yield
        for one in imports:
            one.release()


def import_modules(names: Sequence[str]) -> None:
    """Import modules by their names; a worker that has them, as one of a lasting cluster, is left as it is."""
    if missing := [name for name in names if name not in sys.modules]:
        with uncollected():
            for name in missing:
                import_module(name)
