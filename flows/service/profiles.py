"""Two ways to be deployed: everything on this machine, or flows, workers and servers on machines of their own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import psutil

from lidcflow.config import ClusterConfig, Config
from lidcflow.config.cluster import LOCAL, Pool, is_class
from lidcflow.errors import ConfigError

Profile = Literal["local", "cluster"]


LOOPBACK_NAMES = ("localhost", "127.", "[::1]", "::1")


SHARED_SYSTEMS = ("nfs", "cifs", "smb", "lustre", "gpfs", "ceph", "beegfs", "glusterfs", "fuse", "9p", "virtiofs")


def check_profile(profile: Profile, config: Config) -> list[str]:
    """Check that a configuration goes with a profile, and return what only its user can know to be right.

    Raises
    ------
    ConfigError
        If several machines are to work and a key is good on one alone.
    """
    if profile == "local":
        return []
    if local := local_only(config):
        told = "; ".join(f"{key}: {way_out}" for key, way_out in local.items())
        raise ConfigError(f"profile cluster: every place must be in reach of several machines, but {told}")
    return doubts(config)


def local_only(config: Config) -> dict[str, str]:
    """Return the keys that are good on one machine alone, and what to set instead."""
    found: dict[str, str] = {}
    for pool in _pools(config.cluster):
        if pool.place == LOCAL:
            found["cluster.place"] = "local works on the machine of the flow; set a scheduler's address or a class"
    if urlsplit(config.catalog).scheme.startswith("sqlite"):
        found["catalog_url"] = "SQLite is a file of one machine; set a postgresql+... URL"
    if urlsplit(config.tracking_uri).scheme not in ("http", "https"):
        found["tracking.uri"] = f"{_kind(config.tracking_uri)} is for one machine; set the URL of `mlflow server`"
    if config.store_folder and not is_shared(config.workspace):
        found["store"] = "it is a folder on a disk of this machine; set s3://..., or put the workspace on a shared disk"
    return found


def doubts(config: Config) -> list[str]:
    """Return a sentence for each place that other machines may not reach."""
    addresses = {
        "catalog_url": config.catalog,
        "tracking.uri": config.tracking_uri,
        "access.s3.endpoint": config.access.s3.endpoint or "",
        **{f"cluster.place of {pool.name}": pool.place for pool in _pools(config.cluster)},
    }
    sentences = [
        f"{key} names a loopback address, which is another machine on every machine"
        for key, address in addresses.items()
        if not is_class(address) and _host(address).startswith(LOOPBACK_NAMES)
    ]
    if not is_shared(config.workspace):
        sentences.append(
            "workspace is on a disk of this machine: reports, snapshots and locks stay on the machine of the worker, "
            "so let one worker serve the pool, or mount one folder everywhere"
        )
    return sentences


def is_shared(folder: Path) -> bool:
    """Return whether a folder is on a file system that several machines can have mounted."""
    place = os.path.realpath(folder.absolute())
    mounts = {one.mountpoint: one.fstype for one in psutil.disk_partitions(all=True)}
    above = [mount for mount in mounts if place == mount or place.startswith(mount.rstrip("/") + "/")]
    return bool(above) and mounts[max(above, key=len)].startswith(SHARED_SYSTEMS)


def _pools(cluster: ClusterConfig) -> tuple[Pool, Pool]:
    return cluster.pool("preprocess"), cluster.pool("train")


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


def _kind(uri: str) -> str:
    return urlsplit(uri).scheme or "a folder"
