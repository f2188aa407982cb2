"""A cluster that a class starts: on Kubernetes, on a queue such as SLURM, or whatever else Dask has one for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from distributed import SpecCluster
from distributed.deploy import Cluster as DaskCluster

from lidcflow.config.cluster import Pool, TlsConfig
from lidcflow.errors import ConfigError, ResourceError
from tasks.cluster.connect import security_argument

PACKAGES = {"dask_jobqueue": "lidcflow[slurm]", "dask_kubernetes": "lidcflow[kubernetes]"}
"""Module -> what brings it, where that is one of lidcflow's own extras."""


@contextmanager
def class_cluster(pool: Pool, workers: int | None, tls: TlsConfig | None = None) -> Iterator[DaskCluster]:
    """Start the cluster of a pool's class for as long as the block runs, and ask it for its workers.

    Parameters
    ----------
    pool : Pool
        With `maximum` the class adapts the number of workers to the work.
    workers : int, optional
        How many to ask for; by default as many as the class starts by itself.
    tls : TlsConfig, optional
        Certificates for the class' own scheduler and workers.

    Raises
    ------
    ConfigError
        If there is no such class, it does not take the arguments, or nobody says how many workers it needs.
    ResourceError
        If it can't start its cluster.
    """
    kind = cluster_class(pool.place)
    started = _made(kind, pool, security_argument(kind, tls))
    with started:
        _ask_for_workers(started, pool, workers)
        yield started


def _ask_for_workers(started: DaskCluster, pool: Pool, workers: int | None) -> None:
    """Ask for a pool's workers; where each is a job of its own, one that ends is replaced, as adaptive scaling does."""
    if pool.maximum is not None:
        started.adapt(minimum=pool.minimum or 1, maximum=pool.maximum)
    elif workers is None and isinstance(started, SpecCluster) and not started.worker_spec:
        raise ConfigError(
            f"cluster.place {pool.place}: the class must be asked for workers, because it starts none by itself; "
            f"set cluster.workers or cluster.{pool.name}.workers"
        )
    elif workers is not None and isinstance(started, SpecCluster):
        started.adapt(minimum=workers, maximum=workers)
    elif workers is not None:
        started.scale(workers)


def cluster_class(name: str) -> type[DaskCluster]:
    """Import a cluster class by its dotted name.

    Raises
    ------
    ConfigError
        If its package is not installed, has no such class, or has something else of that name.

    Examples
    --------
    >>> cluster_class("distributed.LocalCluster").__name__
    'LocalCluster'
    """
    module, _, attribute = name.rpartition(".")
    found = getattr(_imported(module, name), attribute, None)
    if isinstance(found, type) and issubclass(found, DaskCluster):
        return found
    got = "nothing of that name" if found is None else f"{type(found).__name__} {found!r}"
    raise ConfigError(
        f"cluster.place {name}: must be a class that starts a Dask cluster, got {got} in {module}; see docs/cluster.md"
    )


def _imported(module: str, name: str) -> Any:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or module).partition(".")[0]
        package = PACKAGES.get(missing, missing.replace("_", "-"))
        raise ConfigError(
            f"cluster.place {name}: its package must be installed, got no module {error.name}; pip install '{package}'"
        ) from None


def _made(kind: type[DaskCluster], pool: Pool, security: dict[str, Any]) -> DaskCluster:
    try:
        return kind(**security, **pool.arguments)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"cluster.place {pool.place}: the class must take cluster.arguments, got {_in_short(error)}; "
            f"they are {', '.join(sorted(pool.arguments)) or 'none'}"
        ) from None
    except Exception as error:
        raise ResourceError(
            f"cluster.place {pool.place}: the cluster must start, got {type(error).__name__}: {_in_short(error)}; "
            "check its arguments, and that this machine may start one"
        ) from None


def _in_short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
