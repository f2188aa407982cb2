"""Open the cluster for the work: on this machine, on a Dask scheduler, or one that a class starts.

The modules ``tasks.cluster.*`` are the only ones that know dask, distributed and prefect-dask.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import dask
from dask.system import CPU_COUNT

from lidcflow.config import ClusterConfig, Config
from lidcflow.config.cluster import LOCAL, Pool, is_class
from lidcflow.dicom.records import Series
from lidcflow.errors import ResourceError
from lidcflow.store.address import StoreAddress
from tasks.cluster import forks
from tasks.cluster.classes import class_cluster
from tasks.cluster.connect import QUEUED_WITHIN_S, connected, tls_settings, unfit_setting, wait_for_a_worker
from tasks.cluster.interrupts import shielding_children
from tasks.cluster.join import GPU, Files
from tasks.cluster.local import NO_WORKERS, WORKERS_WITHIN_S, Purpose, local_cluster, local_settings
from tasks.cluster.map import map_groups, map_series
from tasks.cluster.queue import watching
from tasks.cluster.workers import files_of, flow_log, members, question_for

__all__ = ["Cluster", "cluster_for", "map_groups", "map_series", "open_cluster"]


@dataclass(frozen=True)
class Cluster:
    """Address of a scheduler, and the number of workers that could take part when the cluster was opened."""

    address: str
    workers: int


@contextmanager
def cluster_for(
    config: Config, purpose: Purpose, store: StoreAddress, series: Series | None = None
) -> Iterator[Cluster]:
    """Open the cluster of a configuration; see `open_cluster`.

    Workers of others have to reach the store, and the images of a `series` of the source.
    """
    files = files_of(store, series)
    with open_cluster(config.cluster, purpose, scratch=config.scratch_path, files=files) as cluster:
        yield cluster


@contextmanager
def open_cluster(
    config: ClusterConfig, purpose: Purpose, *, scratch: Path | None = None, port: int = 0, files: Files | None = None
) -> Iterator[Cluster]:
    """Connect to the configured scheduler, or start a cluster for as long as the block runs.

    All that is submitted in the block goes to workers that can take part: that have this process' packages, reach
    the files, and offer a GPU where purpose and configuration ask for one. Local workers are processes of one thread
    each on the loopback interface, watched by a nanny that restarts them when they die or outgrow their memory; those
    of a training without a GPU are forks of `tasks.cluster.forks`.

    Parameters
    ----------
    config : ClusterConfig
        Its pool for the purpose says where: on this machine, on what a class starts, or on a scheduler that runs
        already, where nothing is started, and nothing is stopped at the end.
    purpose : "preprocess", "train" or "read"
        All but ``preprocess`` give one worker to each configured GPU and let TensorFlow use the idle cores; all but
        ``train`` suspect what ended its worker once.
    scratch : Path, optional
        Folder for the workers' temporary files; by default the system's.
    port : int
        Where a local scheduler listens; by default one that is free.
    files : Files, optional
        What workers that others started have to reach.

    Raises
    ------
    ConfigError
        If the configured class is not there, or does not take its arguments.
    ResourceError
        If the scheduler does not answer, has no worker, or lacks the configured GPUs; if a local worker does not
        start.

    Examples
    --------
    ::

        with open_cluster(config.cluster, "preprocess", scratch=config.scratch_path) as cluster:
            for series, outcome in map_series(cluster.address, reduce, found, window=config.cluster.window):
                ...
    """
    pool = config.pool("preprocess" if purpose == "preprocess" else "train")
    gpus = 0 if purpose == "preprocess" else config.gpus
    with dask.config.set(tls_settings(config.tls)):
        if pool.place == LOCAL:
            opened = _local(config, pool, purpose, scratch, port)
        elif is_class(pool.place):
            opened = _started(config, pool, purpose, files or Files())
        else:
            opened = _taking_part(pool.place, pool.place, purpose, files or Files(), gpus)
        with opened as cluster:
            yield cluster


@contextmanager
def _local(config: ClusterConfig, pool: Pool, purpose: Purpose, scratch: Path | None, port: int) -> Iterator[Cluster]:
    count = _workers_asked_for(config.gpus, pool) or CPU_COUNT
    forked = purpose == "train" and forks.can_fork(config.gpus)
    if forked:
        forks.begin()
    # A machine whose environment asks for encryption, as one of a cluster's, may have no certificates for itself.
    own = {
        **local_settings(purpose, count, forked=forked),
        "distributed.comm.require-encryption": config.tls is not None,
    }
    with dask.config.set(own), ExitStack() as stack:
        try:
            with shielding_children():
                local = stack.enter_context(local_cluster(config, purpose, count, scratch, port=port, forked=forked))
        except RuntimeError:
            raise ResourceError(
                f"local cluster: {count} worker processes must start, but one did not; what it said is above, "
                "and fewer may fit: set cluster.workers"
            ) from None
        with requiring_resources({GPU: 1} if purpose != "preprocess" and config.gpus else {}):
            yield Cluster(local.scheduler_address, count)


@contextmanager
def _started(config: ClusterConfig, pool: Pool, purpose: Purpose, files: Files) -> Iterator[Cluster]:
    """Start a cluster by its class; its scheduler may be in this process, and reads its settings here then."""
    count, gpus = _workers_asked_for(config.gpus, pool), 0 if purpose == "preprocess" else config.gpus
    with (
        dask.config.set({**local_settings(purpose, count or 1), NO_WORKERS: f"{QUEUED_WITHIN_S} s"}),
        class_cluster(pool, count, config.tls) as started,
        watching(started, flow_log()),
        _taking_part(started.scheduler_address, pool.place, purpose, files, gpus) as cluster,
    ):
        yield cluster


@contextmanager
def _taking_part(address: str, place: str, purpose: Purpose, files: Files, gpus: int) -> Iterator[Cluster]:
    """Use those workers of a scheduler that can take part, as long as the block runs."""
    with connected(address) as client:
        wait_for_a_worker(client, place, QUEUED_WITHIN_S if is_class(place) else WORKERS_WITHIN_S)
        if sentence := unfit_setting(client, place, purpose):
            flow_log().warning(sentence)
        with (
            members(client, place, question_for(purpose, files, gpus=gpus)) as able,
            requiring_resources(able.resources),
        ):
            yield Cluster(address, able.workers)


@contextmanager
def requiring_resources(resources: dict[str, float]) -> Iterator[None]:
    """Request resources of a worker for all that is submitted in the block, instead of those requested before."""
    with dask.annotate(resources=resources):
        yield


def _workers_asked_for(gpus: int, pool: Pool) -> int | None:
    """Return how many workers the configuration wants; one for each GPU where there are any."""
    return gpus if pool.name == "train" and gpus else pool.workers
