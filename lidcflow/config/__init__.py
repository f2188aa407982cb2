"""The settings of lidcflow; the same types are the parameters of its flows."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    Field,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from lidcflow.config.base import Settings, fault_in
from lidcflow.config.cluster import ClusterConfig
from lidcflow.config.experiment import ExperimentConfig, ExperimentName
from lidcflow.config.science import (
    LIDC,
    GateConfig,
    LabelConfig,
    NodulesConfig,
    PreprocessConfig,
    SplitConfig,
    TrainConfig,
)
from lidcflow.config.service import (
    Access,
    DeliveryConfig,
    DriftConfig,
    InferConfig,
    ObjectsConfig,
    RetentionConfig,
    RetrainConfig,
    ServeConfig,
    TrackingConfig,
)
from lidcflow.config.validators import checked_catalog_url

__all__ = [
    "LIDC",
    "Access",
    "ClusterConfig",
    "Config",
    "DeliveryConfig",
    "DriftConfig",
    "GateConfig",
    "InferConfig",
    "LabelConfig",
    "NodulesConfig",
    "ObjectsConfig",
    "PreprocessConfig",
    "RetentionConfig",
    "RetrainConfig",
    "ServeConfig",
    "SplitConfig",
    "TrackingConfig",
    "TrainConfig",
]

STORE_PLACE = "^([A-Za-z0-9_-]{1,255}|s3://[a-z0-9][a-z0-9.-]*[a-z0-9](/[A-Za-z0-9_-][A-Za-z0-9._-]*)*)$"
"""A folder name in the workspace, or ``s3://bucket/prefix``; nothing that leads out of either."""


class Config(Settings):
    """All settings of lidcflow."""

    workspace: Path = Field(
        Path("lidcflow-workspace"), description="workspace folder: store, catalog, MLflow and reports"
    )
    archive: str | None = Field(None, description="source of the scheduled preprocessing (any SRC)")
    inbox: str | tuple[str, ...] | None = Field(None, description="source or sources of the scheduled inference")
    store: str = Field(
        "store",
        pattern=STORE_PLACE,
        description="store of the training volumes: a folder name in the workspace, or s3://bucket/prefix",
    )
    inbox_store: str = Field(
        "inbox-store",
        pattern=STORE_PLACE,
        description="store of the volumes used only for inference; a different place",
    )
    patient_key: Literal["private", "public"] = Field(
        "private",
        description="key of the patient pseudonyms: private (a secret of yours) or public (for public data sets)",
    )
    catalog_url: str | None = Field(None, description="SQLAlchemy URL of the catalog; none: SQLite in the workspace")
    preprocess: PreprocessConfig = PreprocessConfig()
    nodules: NodulesConfig = NodulesConfig()
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
    retention: RetentionConfig = RetentionConfig()
    serve: ServeConfig = ServeConfig()
    experiments: dict[ExperimentName, ExperimentConfig] = Field({}, description="your own experiments, by name")

    @field_validator("workspace", mode="before")
    @classmethod
    def _names_a_workspace(cls, workspace: Any) -> Any:
        if isinstance(workspace, str) and not workspace.strip():
            raise ValueError("must name a folder")
        return workspace

    @field_validator("catalog_url")
    @classmethod
    def _names_a_catalog(cls, url: str | None) -> str | None:
        return None if url is None else checked_catalog_url(url)

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
            # os.path.realpath takes a loop of links, of which Path.resolve makes a RuntimeError.
            if any(_real(folder).is_relative_to(_real(self.workspace)) for folder in named):
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

    @model_serializer(mode="wrap")
    def _serialized(self, handler: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        """Mask secrets for Prefect, which keeps the parameters of runs below a run for ever; it alone asks by alias."""
        kept: dict[str, Any] = handler(self)
        return without_secrets(kept) if info.by_alias and info.mode == "json" else kept

    @property
    def inboxes(self) -> tuple[str, ...]:
        """Sources of the scheduled inference."""
        if self.inbox is None:
            return ()
        return (self.inbox,) if isinstance(self.inbox, str) else self.inbox

    @property
    def store_root(self) -> str:
        """Place of the Zarr store: a folder, or ``s3://bucket/prefix``."""
        return self._root_of(self.store)

    @property
    def store_folder(self) -> Path | None:
        """Folder of the Zarr store; None where it lies in a bucket."""
        return self._folder_of(self.store)

    @property
    def inbox_store_root(self) -> str:
        """Place of the Zarr store of volumes that were only read."""
        return self._root_of(self.inbox_store)

    @property
    def inbox_store_folder(self) -> Path | None:
        """Folder of that store; None where it lies in a bucket."""
        return self._folder_of(self.inbox_store)

    def _root_of(self, store: str) -> str:
        folder = self._folder_of(store)
        return store if folder is None else str(folder)

    def _folder_of(self, store: str) -> Path | None:
        return None if "://" in store else self.workspace.absolute() / store

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


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def without_secrets(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings without passwords in addresses, and without what a cluster's class is made with.

    Examples
    --------
    >>> without_secrets({"catalog_url": "postgresql://me:secret@db/catalog", "cluster": {"arguments": {"env": {}}}})
    {'catalog_url': 'postgresql://me:***@db/catalog', 'cluster': {'arguments': '***'}}
    """
    return {key: _without_secrets(key, value) for key, value in settings.items()}


def _without_secrets(key: str, value: Any) -> Any:
    if key == "arguments":
        return "***" if value else value
    if isinstance(value, dict):
        return without_secrets(value)
    if not isinstance(value, str):
        return value
    value = re.sub(r"(://[^/@:\s]*):\S*@", r"\1:***@", value)
    return re.sub(r"(?i)([?&](?:pass|password|passwd|pwd)=)[^&\s]*", r"\1***", value)


def _with(table: dict[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    """Return a table of tables with another value at the end of a path."""
    name, *rest = path
    inner = table.get(name)
    return {**table, name: _with(inner if isinstance(inner, dict) else {}, rest, value) if rest else value}
