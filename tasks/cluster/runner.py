"""Send the tasks of a flow to a Dask scheduler.

Importing this module imports prefect-dask, which takes a second: flows that train import it, workers do not.
"""

from __future__ import annotations

from prefect_dask import DaskTaskRunner


def task_runner(address: str) -> DaskTaskRunner:
    """Return the task runner that sends a flow's submitted tasks to this scheduler."""
    return DaskTaskRunner(address=address)
