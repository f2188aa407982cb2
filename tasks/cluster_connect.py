"""Reach a scheduler, and look whether it is set as the work needs it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import dask
from distributed import Client
from distributed.versions import VersionMismatchWarning

from lidcflow.errors import ResourceError
from tasks.cluster_local import WORKERS_WITHIN_S, Purpose

SCHEDULER_WITHIN_S = 10
QUEUED_WITHIN_S = 1800
"""A class may have to wait for a queue, or for a machine to be bought, before its first worker starts."""
LOGGERS = ("distributed", "distributed.client")
"""Dask prints the traceback of each attempt to reach a scheduler that went away; the flow says so in a sentence."""

MOST_DEATHS = 2
"""Workers that one task may end before Dask gives it up: each death of a series that hangs costs its whole time."""


@contextmanager
def connected(address: str) -> Iterator[Client]:
    """Connect to a scheduler for as long as the block runs.

    Raises
    ------
    ResourceError
        If it does not answer, or one side encrypts and the other does not.
    """
    for logger in LOGGERS:
        logging.getLogger(logger).setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():  # tasks.cluster_members says of a version that differs who has it
            warnings.simplefilter("ignore", VersionMismatchWarning)
            client = Client(address, set_as_default=False, name="lidcflow", timeout=SCHEDULER_WITHIN_S)
    except (TypeError, RuntimeError):
        raise ResourceError(
            f"Dask scheduler {address}: both sides must encrypt or neither, got an address that does not go with "
            "cluster.tls; set ca, certificate and key for a tls:// address, and leave them out for tcp://"
        ) from None
    except (OSError, ValueError):
        raise ResourceError(
            f"Dask scheduler {address}: must be running, got no answer within {SCHEDULER_WITHIN_S} s; start it, or "
            "leave cluster.place out of the configuration to work on this machine"
        ) from None
    with client:
        yield client


def wait_for_a_worker(client: Client, place: str, within_s: float = WORKERS_WITHIN_S) -> None:
    """Wait until the first worker is there.

    Raises
    ------
    ResourceError
        If none comes.
    """
    try:
        client.wait_for_workers(1, timeout=within_s)
    except TimeoutError:
        raise ResourceError(
            f"Dask cluster {place}: must have a worker, got none within {within_s:g} s; start one"
        ) from None


def unfit_setting(client: Client, place: str, purpose: Purpose) -> str | None:
    """Say in a sentence how a scheduler that others started treats the death of workers, where that does harm."""
    allowed = client.run_on_scheduler(dask.config.get, "distributed.scheduler.allowed-failures")
    if purpose != "train" and allowed > MOST_DEATHS:
        harm = f"a series that hangs costs {2 * (allowed + 1)} times cluster.series_within_s"
    elif purpose == "train" and allowed < 1:
        harm = "a sector is given up when its worker dies once"
    else:
        return None
    return (
        f"Dask cluster {place}: distributed.scheduler.allowed-failures should be 1 or {MOST_DEATHS}, got {allowed}, "
        f"with which {harm}; start the scheduler with DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES={MOST_DEATHS}"
    )
