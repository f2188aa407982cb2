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
"""Which studies that a PACS already holds are processed: none, all, or those from a date on."""

PacsName = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9-]{0,39}$")]


class PacsConfig(Settings):
    """A DICOMweb service, and how patient its client is."""

    url: str = Field(
        pattern=SERVICE_URL, description="address of the DICOMweb service, such as https://pacs.example.org/dicom-web"
    )
    changes: str | None = Field(
        None,
        pattern=SERVICE_URL,
        description="address of Orthanc's change feed, such as https://.../changes; none: studies are polled",
    )
    modality: str = Field(
        "CT", pattern="^[A-Z0-9]{2,16}$", description="modality that is searched for where no study or series is named"
    )
    since: Since = Field(
        "now",
        description="which of the studies already there the inbox processes: now (none), everything, or from a date on",
    )
    poll_days: int = Field(3, ge=1, le=3650, description="how far back polling searches by study date, in days")
    timeout_s: float = Field(30, gt=0, description="longest wait for an answer or its next part, in seconds")
    slowest_kib_s: float = Field(
        16, gt=0, description="slowest accepted transfer, in KiB/s; an answer may lag behind it by two timeouts"
    )
    largest_instance_gib: float = Field(2, gt=0, le=4, description="largest accepted instance, in GiB")
    largest_series_gib: float = Field(32, gt=0, description="largest accepted series, in GiB")
    retries: int = Field(4, ge=0, le=100, description="retries of a request, with growing delays")
    connections: int = Field(4, ge=1, le=64, description="concurrent requests of one process")
    ca_bundle: Path | None = Field(None, description="PEM file with the authorities to trust; none: the system's")
    client_certificate: Path | None = Field(None, description="PEM file with the client certificate")
    client_key: Path | None = Field(
        None, description="PEM file with the client certificate's key, if it is a separate file"
    )


HostName = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$")]
"""Name of a machine, without a port."""


class ObjectsConfig(Settings):
    """Access to S3-like storage; keys come from the environment, as AWS_ACCESS_KEY_ID, never from here."""

    endpoint: str | None = Field(None, description="URL of the storage; none: Amazon's")
    region: str | None = Field(None, description="region of the buckets; none: taken from the environment")
    anonymous: bool = Field(False, description="send requests without keys, for a public bucket")
    connections: int = Field(32, ge=1, le=512, description="concurrent requests of one process")
    retries: int = Field(6, ge=0, le=100, description="retries of a request, with growing delays")
    timeout_s: float = Field(30, gt=0, description="longest wait for an answer, in seconds")


class Access(Settings):
    """Access to buckets (``s3://`` and the public ones behind ``idc:``) and to each PACS."""

    s3: ObjectsConfig = ObjectsConfig()
    idc: ObjectsConfig = ObjectsConfig(anonymous=True, region="us-east-1")
    pacs: dict[PacsName, PacsConfig] = Field({}, description="DICOMweb services by name, as pacs:main")


class TrackingConfig(Settings):
    """MLflow's storage of runs and models."""

    uri: str | None = Field(None, description="MLflow tracking URI; none: SQLite in the workspace")
    experiment: str = Field("lidcflow", min_length=1, description="name of the MLflow experiment")
    registry_name: str = Field("lidcflow", pattern="^[A-Za-z0-9_-]+$", description="name of the registered release")
    wait_s: float = Field(
        300,
        ge=0,
        description="how long a flow waits for an unavailable MLflow server, in seconds; trained models are kept",
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
    """Settings of inference."""

    release: str = Field(
        "champion",
        description="alias or version of the release that inference uses; embedded: the release of the package, which "
        "infer also uses until one is trained",
    )
    slices: int = Field(
        10, ge=1, description="review budget: most slices recommended for a study; a volume has 65 by default"
    )
    ranges: int = Field(10, ge=1, description="most slice ranges in a recommendation, within the review budget")
    documents: Path | None = Field(
        None,
        description="folder for DICOM documents (they hold the patient's identity), outside the workspace; none: none",
    )


class RetrainConfig(Settings):
    """When a scheduled check trains again; one that finds nothing changed never does."""

    new_series: int = Field(50, ge=1, description="number of new labelled series that starts a training")
    at_least_every_days: float = Field(7, gt=0, description="days after which any change starts a training")


DocumentKind = Literal["kos", "sr", "seg"]
DOCUMENTS: tuple[DocumentKind, ...] = ("kos", "sr")
"""Documents that are made by default."""


class DeliveryConfig(Settings):
    """Delivery of results for the inbox: targets, documents and retries."""

    to: tuple[str, ...] = Field(
        (), description="targets of DICOM documents: pacs:NAME, or folders outside the workspace; empty: only reports"
    )
    documents: tuple[DocumentKind, ...] = Field(
        DOCUMENTS,
        min_length=1,
        description="what is delivered: kos (key objects), sr (structured report), seg (segmentation of the findings "
        "that have an outline)",
    )
    settle_s: float = Field(
        60, ge=0, description="time without new images after which a study counts as complete, in seconds"
    )
    attempts: int = Field(
        72, ge=1, le=1000, description="failures after which a series is dead-lettered until lidcflow inbox retry"
    )
    refuse_after: int = Field(
        5,
        ge=1,
        le=1000,
        description="failures to fetch a whole series from a PACS after which it is answered as not evaluated",
    )
    first_delay_s: float = Field(
        30, gt=0, description="delay after the first failure, in seconds; each further failure doubles it"
    )
    longest_delay_s: float = Field(3600, gt=0, description="longest delay between two attempts, in seconds")


class DriftConfig(Settings):
    """Comparison of recent inference with the training data of its release."""

    days: float = Field(30, gt=0, description="how many days of inference are compared")
    minimum: int = Field(20, ge=2, description="fewest patients for a comparison")
    false_alarms: float = Field(
        0.01, ge=1e-4, le=0.5, description="probability that a check raises an alarm although nothing has drifted"
    )


class RetentionConfig(Settings):
    """Retention times; MLflow's runs and models and the volumes of trainings are always kept."""

    prefect_days: float = Field(
        30,
        ge=1,
        description="days that the Prefect server of `lidcflow up` keeps flow runs, with logs, tables and events",
    )
    inbox_store_days: float | None = Field(
        90,
        ge=1,
        description="days since last use that inference volumes are kept, at least drift.days; none: forever",
    )
    inbox_store_gib: float | None = Field(
        None,
        gt=0,
        description="size of the inbox store in GiB above which the oldest volumes are deleted earlier; none: no limit",
    )
    reports_days: float | None = Field(
        None, ge=1, description="days that recommendations and pages are kept, at least drift.days; none: forever"
    )


class ServeConfig(Settings):
    """Servers of `lidcflow up` and `lidcflow reports`; they listen on loopback unless `host` is set."""

    host: str = Field("127.0.0.1", description="address that the servers listen on")
    hosts: tuple[HostName, ...] = Field(
        (), description="further host names that browsers may use for this machine; IP addresses need no entry"
    )
    prefect_port: int = Field(4200, ge=1, le=65535, description="port of the Prefect server")
    mlflow_port: int = Field(5000, ge=1, le=65535, description="port of the MLflow server")
    reports_port: int = Field(8765, ge=1, le=65535, description="port of the reports server")
    preprocess_cron: str | None = Field(
        None, description="cron schedule of preprocessing; none: as in deployments/prefect.yaml"
    )
    retrain_cron: str | None = Field(
        None, description="cron schedule of the check for retraining; none: as in deployments/prefect.yaml"
    )
    infer_every_s: int | None = Field(
        None, ge=10, description="seconds between two polls of the inbox; none: as in deployments/prefect.yaml"
    )
    drift_cron: str | None = Field(
        None, description="cron schedule of the drift check; none: as in deployments/prefect.yaml"
    )
    clean_cron: str | None = Field(
        None, description="cron schedule of lidcflow clean; none: as in deployments/prefect.yaml"
    )
    disk_low_gib: float = Field(10, ge=0, description="free disk space below which lidcflow status warns, in GiB")
    readers_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="port of a Dask cluster that keeps models loaded between rounds; none: each round starts its own",
    )
    timezone: str | None = Field(None, description="time zone of the cron schedules, such as Europe/Berlin; none: UTC")
