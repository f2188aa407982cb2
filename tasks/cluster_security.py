"""Encryption between Dask's processes: certificates of one authority, and nothing unencrypted beside them."""

from __future__ import annotations

import inspect
from typing import Any

from distributed import Security
from distributed.deploy import Cluster as DaskCluster

from lidcflow.config_cluster import TlsConfig
from lidcflow.errors import ConfigError

ROLES = ("client", "scheduler", "worker")


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
