"""Settings of where and when things run: storage, PACS, MLflow, inference, schedules, servers."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator

from lidcflow.config.base import Settings

SERVICE_URL = r"^https?://[^/@?#\s]+(/[^/@?#\s]+)*/?$"
"""An address without user, password, query or fragment."""

Since = Literal["now", "everything"] | date
"""What of the studies that a PACS holds already is read: none, all, or those from a day on."""

PacsName = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9-]{0,39}$")]


class PacsConfig(Settings):
    """A DICOMweb service, and how patient its client is."""

    url: str = Field(pattern=SERVICE_URL, description="DICOMweb service, as https://pacs.example.org/dicom-web")
    changes: str | None = Field(
        None,
        pattern=SERVICE_URL,
        description="Orthanc's feed of changes, as https://.../changes; none: polling",
    )
    modality: str = Field("CT", pattern="^[A-Z0-9]{2,16}$", description="series that are looked for")
    since: Since = Field(
        "now",
        description="what of the studies that it holds when it is first looked at is read: none, all, or from a day on",
    )
    poll_days: int = Field(3, ge=1, le=3650, description="age of study dates that QIDO-RS polling looks at, in days")
    timeout_s: float = Field(30, gt=0, description="time that an answer, or the next part of it, may take")
    slowest_kib_s: float = Field(
        16, gt=0, description="slowest transfer that is waited for, in KiB/s; an answer may fall behind by two timeouts"
    )
    largest_instance_gib: float = Field(2, gt=0, le=4, description="longest instance that is taken, in GiB")
    largest_series_gib: float = Field(32, gt=0, description="longest series that is taken, in GiB")
    retries: int = Field(4, ge=0, le=100, description="times that a request is sent again, with growing delays")
    connections: int = Field(4, ge=1, le=64, description="requests in flight of one process")
    ca_bundle: Path | None = Field(None, description="certificates that the service's own is checked against")
    client_certificate: Path | None = Field(None, description="certificate that is shown to the service")
    client_key: Path | None = Field(None, description="its key, where that is a file of its own")


HostName = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$")]
"""Name of a machine, without a port."""


class ObjectsConfig(Settings):
    """How S3-like storage is reached; keys come from the environment, as AWS_ACCESS_KEY_ID, never from here."""

    endpoint: str | None = Field(None, description="URL of the storage; none: Amazon's")
    region: str | None = Field(None, description="region of the buckets; none: as the environment says")
    anonymous: bool = Field(False, description="send no keys: the bucket is public")
    connections: int = Field(32, ge=1, le=512, description="requests in flight of one process")
    retries: int = Field(6, ge=0, le=100, description="times that a request is sent again, with growing delays")
    timeout_s: float = Field(30, gt=0, description="time that an answer may take")


class Access(Settings):
    """How buckets are reached, ``s3://`` ones and the public ones behind ``idc:``, and each PACS."""

    s3: ObjectsConfig = ObjectsConfig()
    idc: ObjectsConfig = ObjectsConfig(anonymous=True, region="us-east-1")
    pacs: dict[PacsName, PacsConfig] = Field({}, description="DICOMweb services by name, as pacs:main")


class TrackingConfig(Settings):
    """Where MLflow keeps runs and models."""

    uri: str | None = Field(None, description="MLflow tracking URI; none: SQLite in the workspace")
    experiment: str = Field("lidcflow", min_length=1)
    registry_name: str = Field("lidcflow", pattern="^[A-Za-z0-9_-]+$", description="name of the registered release")
    wait_s: float = Field(
        300, ge=0, description="time that a server may stay away before a flow gives up logging; its work is kept"
    )

    @field_validator("uri")
    @classmethod
    def _outlives_the_process(cls, uri: str | None) -> str | None:
        if uri and re.fullmatch(r"sqlite:/*(:memory:)?", uri):
            raise ValueError(
                "must name a file, for runs and models would end with each process; sqlite:////folder/file"
            )
        return uri


class InferConfig(Settings):
    """How new studies are read."""

    release: str = Field(
        "champion",
        description="alias or version, or embedded: the package's, which infer reads with until one is trained",
    )
    slices: int = Field(
        10, ge=1, description="review budget: most slices of a volume, which has 65 by default, recommended for a study"
    )
    ranges: int = Field(10, ge=1, description="most slice ranges recommended for a study, within that budget")
    documents: Path | None = Field(
        None, description="folder of DICOM documents, which name the patient: outside the workspace; none: no documents"
    )


class RetrainConfig(Settings):
    """When a scheduled check trains again; one that finds nothing changed never does."""

    new_series: int = Field(50, ge=1, description="new labelled series after which it is time")
    at_least_every_days: float = Field(7, gt=0, description="days after which any change is enough")


class DeliveryConfig(Settings):
    """How the answers on what comes into the inbox are delivered, and how patiently."""

    to: tuple[str, ...] = Field(
        (), description="where DICOM documents go: pacs:NAME, or folders outside the workspace; none: reports alone"
    )
    settle_s: float = Field(60, ge=0, description="time without anything new after which a study is complete")
    attempts: int = Field(72, ge=1, le=1000, description="failures after which somebody has to look at a series")
    refuse_after: int = Field(
        5, ge=1, le=1000, description="failures to get a series whole from a PACS after which that is its answer"
    )
    first_delay_s: float = Field(30, gt=0, description="delay after the first failure; each further one doubles it")
    longest_delay_s: float = Field(3600, gt=0, description="longest delay between two attempts")


class DriftConfig(Settings):
    """How what was read lately is compared with what its release was made on."""

    days: float = Field(30, gt=0, description="how far back readings count")
    minimum: int = Field(20, ge=2, description="fewest patients that are compared")
    false_alarms: float = Field(
        0.01, ge=1e-4, le=0.5, description="probability that a check raises any alarm where nothing drifts"
    )


class RetentionConfig(Settings):
    """How long things are kept; MLflow's runs and models, and what is in the store of the trainings, always are."""

    prefect_days: float = Field(
        30, ge=1, description="flow runs with their logs, tables and events in the Prefect server of `lidcflow up`"
    )
    inbox_store_days: float | None = Field(
        90,
        ge=1,
        description="volumes that were only read, since their last use, and never less than drift.days; none: for ever",
    )
    inbox_store_gib: float | None = Field(
        None, gt=0, description="size of the inbox store, above which the oldest volumes go earlier; none: any size"
    )
    reports_days: float | None = Field(
        None, ge=1, description="recommendations and pages, never less than drift.days; none: for ever"
    )


class ServeConfig(Settings):
    """What `lidcflow up` and `lidcflow reports` serve; servers listen on loopback unless host says otherwise."""

    host: str = "127.0.0.1"
    hosts: tuple[HostName, ...] = Field(
        (), description="names by which browsers reach this machine, besides its own; plain IP addresses need none"
    )
    prefect_port: int = Field(4200, ge=1, le=65535)
    mlflow_port: int = Field(5000, ge=1, le=65535)
    reports_port: int = Field(8765, ge=1, le=65535)
    preprocess_cron: str | None = Field(None, description="when to preprocess; none: as deployments/prefect.yaml says")
    retrain_cron: str | None = Field(
        None, description="when to look whether it is time to retrain; none: as the YAML says"
    )
    infer_every_s: int | None = Field(None, ge=10, description="seconds between inferences; none: as the YAML says")
    drift_cron: str | None = Field(None, description="when to look for drift; none: as deployments/prefect.yaml says")
    clean_cron: str | None = Field(None, description="when to delete what [retention] keeps no longer; none: likewise")
    disk_low_gib: float = Field(10, ge=0, description="free space of the workspace below which status warns, in GiB")
    readers_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="port of a cluster that keeps models loaded; none: each inference starts its own",
    )
    timezone: str | None = Field(None, description="time zone of the crons, as Europe/Berlin; none: as the YAML says")
