"""Connect to a scheduler, with TLS where it is set, and check that the scheduler is configured as the work needs."""

from __future__ import annotations

import gc
import inspect
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import dask
from distributed import Client, Security
from distributed.deploy import Cluster as DaskCluster
from distributed.versions import VersionMismatchWarning

from lidcflow.config.cluster import TlsConfig, is_class
from lidcflow.errors import ConfigError, ResourceError
from tasks.cluster.local import WORKERS_WITHIN_S, Purpose

SCHEDULER_WITHIN_S = 10
QUEUED_WITHIN_S = 1800
"""A class may have to wait for a queue, or for a machine to be bought, before its first worker starts."""
LOGGERS = ("distributed", "distributed.client")
"""Loggers that print a traceback per attempt to reach a lost scheduler; the flow reports it in one sentence instead."""

MOST_DEATHS = 2
"""Workers that one task may end before Dask gives it up: each death of a series that hangs costs its whole time."""


ROLES = ("client", "scheduler", "worker")


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
    with _client_of(address) as client:
        yield client


def _client_of(address: str) -> Client:
    why_not = ""
    try:
        with warnings.catch_warnings():  # tasks.cluster.workers says of a version that differs who has it
            warnings.simplefilter("ignore", VersionMismatchWarning)
            return Client(address, set_as_default=False, name="lidcflow", timeout=SCHEDULER_WITHIN_S)
    except (TypeError, RuntimeError):
        why_not = (
            "both sides must encrypt or neither, got an address that does not go with "
            "cluster.tls; set ca, certificate and key for a tls:// address, and leave them out for tcp://"
        )
    except (OSError, ValueError):
        why_not = (
            f"must be running, got no answer within {SCHEDULER_WITHIN_S} s; start it, or "
            "leave cluster.place out of the configuration to work on this machine"
        )
    # Dask leaves a client that could not connect to the garbage collector. It ends its thread when it is collected,
    # and waits for ever where that happens in a thread that the next client starts.
    gc.collect()
    raise ResourceError(f"Dask scheduler {address}: {why_not}")


def run_on_workers(address: str, function: Callable[..., object], *arguments: object) -> None:
    """Call a function once in every worker of a scheduler; an error of a worker is logged and ends nothing."""
    with connected(address) as client:
        for worker, error in client.run(function, *arguments, on_error="return").items():
            if isinstance(error, BaseException):
                logging.getLogger("lidcflow").warning("worker %s: %s: %s", worker, type(error).__name__, error)


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
        remedy = "look at its queue or its machines" if is_class(place) else "start one"
        raise ResourceError(
            f"Dask cluster {place}: must have a worker, got none within {within_s:g} s; {remedy}"
        ) from None


def unfit_setting(client: Client, place: str, purpose: Purpose) -> str | None:
    """Describe in a sentence how a scheduler that others started treats the death of workers, where that does harm."""
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


def tls_settings(tls: TlsConfig | None) -> dict[str, Any]:
    """Return the settings of Dask under which every client, scheduler and worker that is made asks for encryption.

    Clients are made in several places, Prefect's task runner among them: what Dask reads by itself reaches them all.

    Raises
    ------
    ConfigError
        If a file is not there.
    """
    if tls is None:
        return {}
    for key, file in (("ca", tls.ca), ("certificate", tls.certificate), ("key", tls.key)):
        if not file.is_file():
            raise ConfigError(f"cluster.tls.{key}: must be a PEM file, got none at {file}; check the path")
    pairs = {f"distributed.comm.tls.{role}.cert": str(tls.certificate.absolute()) for role in ROLES}
    pairs |= {f"distributed.comm.tls.{role}.key": str(tls.key.absolute()) for role in ROLES}
    return {
        "distributed.comm.require-encryption": True,
        "distributed.comm.tls.ca-file": str(tls.ca.absolute()),
        **pairs,
    }


def security_argument(kind: type[DaskCluster], tls: TlsConfig | None) -> dict[str, Any]:
    """Return what a cluster class is made with so that its own scheduler and workers encrypt; under `tls_settings`.

    Raises
    ------
    ConfigError
        If the class can't.
    """
    if tls is None:
        return {}
    if any("security" in inspect.signature(vars(one)["__init__"]).parameters for one in _making(kind)):
        return {"security": Security(require_encryption=True)}
    raise ConfigError(
        f"cluster.tls: the class must take a security argument, got {kind.__name__} which takes none; start "
        "its cluster with certificates yourself, and set cluster.place to its tls:// address"
    )


def _making(kind: type[DaskCluster]) -> list[type]:
    return [one for one in kind.__mro__ if "__init__" in vars(one) and one is not object]
