"""Settings of where series are worked on: this machine, a Dask scheduler, or a class that starts a cluster."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from lidcflow.config.base import Settings

LOCAL = "local"
ADDRESS = re.compile(r"[a-z][a-z0-9+]*://\S+")
CLASS = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")

Arguments = dict[str, Any]
PoolName = Literal["preprocess", "train"]


def _checked_place(place: str) -> str:
    if place == LOCAL or ADDRESS.fullmatch(place) or CLASS.fullmatch(place):
        return place
    raise ValueError(
        "must be local, the address of a Dask scheduler as tcp://host:8786, or the dotted name of a cluster class as "
        "dask_jobqueue.SLURMCluster"
    )


Place = Annotated[str, AfterValidator(_checked_place)]


def is_class(place: str) -> bool:
    """Return whether a place is the dotted name of a cluster class.

    Examples
    --------
    >>> is_class("dask_jobqueue.SLURMCluster"), is_class("tcp://host:8786"), is_class("local")
    (True, False, False)
    """
    return CLASS.fullmatch(place) is not None


class PoolConfig(Settings):
    """Workers for one kind of work, where they differ from the others."""

    place: Place | None = Field(None, description="execution backend of these workers; none: cluster.place")
    arguments: Arguments = Field(
        {}, description="keyword arguments of the class; merged over cluster.arguments if the class is the same"
    )
    workers: int | None = Field(None, ge=1, description="worker processes; none: cluster.workers")


class ElasticPoolConfig(PoolConfig):
    """Workers that come and go with the work."""

    minimum: int | None = Field(None, ge=1, description="fewest workers when the class scales with the work; none: 1")
    maximum: int | None = Field(
        None, ge=1, description="most workers when the class scales with the work; none: no scaling"
    )

    @model_validator(mode="after")
    def _has_room_between(self) -> ElasticPoolConfig:
        if self.minimum is not None and self.minimum > (self.maximum or 0):
            raise ValueError(f"minimum must be at most maximum, got {self.minimum} and {self.maximum}")
        return self


class TlsConfig(Settings):
    """Certificates of Dask's processes, as PEM files; all of them are of one authority."""

    ca: Path = Field(description="PEM file with the certificate of the authority")
    certificate: Path = Field(description="PEM file with the certificate of this machine's processes")
    key: Path = Field(description="PEM file with the private key of the certificate, readable by its owner only")


class Pool(Settings):
    """The place where one kind of work runs, with all defaults filled in; `workers` as configured."""

    name: PoolName
    place: str
    arguments: Arguments
    workers: int | None
    minimum: int | None = None
    maximum: int | None = None


class ClusterConfig(Settings):
    """The cluster that processes series."""

    place: Place = Field(
        LOCAL,
        description="local: processes of this machine; tcp://host:8786: a Dask scheduler; or the dotted name of a "
        "class that starts a cluster, as dask_kubernetes.operator.KubeCluster",
    )
    arguments: Arguments = Field({}, description="keyword arguments of the class")
    workers: int | None = Field(
        None, ge=1, description="worker processes; none: one per core here, or as many as the class starts"
    )
    memory_limit: str = Field("4GiB", description="memory at which a local worker is restarted, as 4GiB")
    gpus: int = Field(0, ge=0, description="GPUs that the training workers offer; one training task runs on each")
    preprocess: ElasticPoolConfig = Field(ElasticPoolConfig(), description="workers that preprocess")
    train: PoolConfig = Field(PoolConfig(), description="workers that compute features, train, evaluate and read")
    tls: TlsConfig | None = Field(
        None, description="encryption of the connections between Dask's processes; none: not encrypted"
    )
    batch_size: int = Field(256, ge=1, description="series in one Prefect task")
    window: int = Field(4, ge=1, description="series that a worker holds at a time, running and waiting")
    feature_batch: int | None = Field(
        None, ge=1, le=256, description="volumes in one pass through the backbone; none: 1, or 8 with GPUs"
    )
    series_within_s: float = Field(
        900,
        gt=0,
        description="longest time for one series, in seconds; then its worker process is killed and restarted",
    )

    @model_validator(mode="after")
    def _has_arguments_for_classes_alone(self) -> ClusterConfig:
        for pool in (self.pool("preprocess"), self.pool("train")):
            given = "arguments" if pool.arguments else "maximum" if pool.maximum is not None else None
            if given and not is_class(pool.place):
                raise ValueError(
                    f"{given} are for a class that starts a cluster, but the place of {pool.name} is {pool.place}; "
                    "name the class, or leave them out"
                )
        return self

    def pool(self, name: PoolName) -> Pool:
        """Return where one kind of work runs; arguments are merged where both name the same class."""
        own = self.preprocess if name == "preprocess" else self.train
        place = own.place or self.place
        common = self.arguments if place == self.place else {}
        scaling = {"minimum": own.minimum, "maximum": own.maximum} if isinstance(own, ElasticPoolConfig) else {}
        return Pool(
            name=name,
            place=place,
            arguments={**common, **own.arguments},
            workers=own.workers or self.workers,
            **scaling,
        )

    def at(self, address: str) -> ClusterConfig:
        """Return the same for a scheduler that runs already: all work goes there."""
        there = {"place": address, "arguments": {}, "preprocess": ElasticPoolConfig(), "train": PoolConfig()}
        return self.model_copy(update=there)
