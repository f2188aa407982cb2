"""A release: one version of the whole set of sector models, and the record of what it pins."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from lidcflow.config import LabelConfig, PreprocessConfig, SplitConfig, TrainConfig
from lidcflow.errors import ReleaseError
from lidcflow.release.facts import ReleaseFacts
from lidcflow.release.outcome import DataFacts, Gate, Threshold
from lidcflow.release.pins import BackbonePin, NodulePin, SectorPin, SystemFacts
from lidcflow.stats.estimate import Estimate, FindingFigures, MarkFacts, Record, SplitFigures

SCHEMA_VERSION: Literal["lidcflow.release/1"] = "lidcflow.release/1"


class FoldFacts(Record):
    """One fold of a cross-validation: the patients that its model was tested on, and the figures.

    Parameters
    ----------
    fold : int
        Its number, from 1.
    patients, series : int
        Test patients and their series.
    validation, test : dict of str to Estimate
        Figures of slices, without intervals.
    nodules : NodulePin, optional
        How findings join the answers of its models, fitted on its validation patients; None without findings.
    """

    fold: int
    patients: int
    series: int
    validation: dict[str, Estimate]
    test: dict[str, Estimate]
    nodules: NodulePin | None = None


class ReleaseRecord(Record):
    """Everything that a release pins, kept as JSON beside its version in the registry.

    `snapshot_digest` is that of the slices, labels and splits, which trainings with other settings share;
    `snapshot_id` that of the file which fixes this training. `detector_reason` says why the detector of `nodules` is
    the one that it is. `chosen` holds what the configuration said of settings that its training was given otherwise, by
    option, snapshot or a run's parameters: later trainings keep them while the configuration still says so. `folds` are
    those of a cross-validation, whose sector models average the models of the folds; `metrics` are then of each
    patient's answer by the fold whose validation or test patient that is. Empty for a release of one training. `marks`
    counts the labels that come from readers' marks on reports. Fields with a default came later: a record made before
    them is read all the same.
    """

    schema_version: Literal["lidcflow.release/1"] = SCHEMA_VERSION
    name: str
    version: int
    created: datetime
    sector_num: int
    sectors: tuple[SectorPin, ...]
    backbone: BackbonePin
    preprocess: PreprocessConfig
    preprocess_digest: str
    labels: LabelConfig
    split: SplitConfig
    train: TrainConfig
    threshold_nodule: float
    snapshot_digest: str
    snapshot_id: str = ""
    inputs_digest: str
    metrics: dict[str, SplitFigures]
    gate: Gate
    synthetic: bool
    lidcflow_version: str
    threshold: Threshold | None = None
    data: DataFacts | None = None
    nodules: NodulePin | None = None
    findings: dict[str, FindingFigures] = Field(default_factory=dict)
    detector_reason: str = ""
    systems: tuple[SystemFacts, ...] = ()
    chosen: dict[str, Any] = Field(default_factory=dict)
    folds: tuple[FoldFacts, ...] = ()
    marks: MarkFacts | None = None

    @property
    def pinned(self) -> bool:
        """Whether the record holds the digest of every model."""
        return all(pin.sha256 for pin in self.sectors)

    def with_digests(self, digests: Mapping[str, str]) -> ReleaseRecord:
        """Return the record with the SHA-256 of its models by their URI; of others there is none."""
        pins = tuple(pin.model_copy(update={"sha256": digests.get(pin.uri, "")}) for pin in self.sectors)
        return self.model_copy(update={"sectors": pins})

    @property
    def snapshot_name(self) -> str:
        """Leading digits that name the file of its snapshot, in the workspace and on the run of its training."""
        return (self.snapshot_id or self.snapshot_digest)[:12]

    def facts(self) -> ReleaseFacts:
        """Return the facts about the release for a recommendation."""
        return ReleaseFacts(
            name=self.name,
            version=self.version,
            threshold_nodule=self.threshold_nodule,
            sector_num=self.sector_num,
            backbone_id=self.backbone.id,
            preprocess_digest=self.preprocess_digest,
            synthetic=self.synthetic,
            fallback_sectors=tuple(pin.sector for pin in self.sectors if pin.fallback),
        )

    def check(self) -> ReleaseRecord:
        """Return the record itself if its parts fit together.

        Raises
        ------
        ReleaseError
            If the sectors do not cover every slice once (a release that reads candidates may have none), or the
            preprocessing configuration is not the one whose digest the record pins.
        """
        covered = [k for pin in self.sectors for k in range(pin.first_slice, pin.last_slice + 1)]
        needed = list(range(1, self.preprocess.slices + 1)) if self.sectors or self.nodules is None else []
        if covered != needed:
            raise ReleaseError(
                f"release {self.name} version {self.version}: its sectors must cover the slices 1 to "
                f"{self.preprocess.slices} once each, got {len(covered)} slices; train again"
            )
        if self.preprocess.digest != self.preprocess_digest:
            raise ReleaseError(
                f"release {self.name} version {self.version}: its volumes were made by another version of the "
                f"preprocessing, digest {self.preprocess_digest[:12]}; train again, or use the lidcflow "
                f"{self.lidcflow_version} that made it"
            )
        return self


def sector_model_name(registry_name: str, sector_num: int, sector: int) -> str:
    """Name the registered model of a sector.

    Examples
    --------
    >>> sector_model_name("lidcflow", 5, 3)
    'lidcflow.05-sectors.sector-03'
    """
    return f"{registry_name}.{sector_num:02d}-sectors.sector-{sector:02d}"
