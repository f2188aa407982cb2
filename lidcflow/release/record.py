"""A release: one version of the whole set of sector models, and the record of what it pins."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from lidcflow.config import LabelConfig, PreprocessConfig, SplitConfig, TrainConfig
from lidcflow.errors import ReleaseError
from lidcflow.nodules.join_weights import JoinWeights
from lidcflow.release.facts import ReleaseFacts
from lidcflow.stats.estimate import ClassCounts, Estimate, FindingFigures, Record, SplitFigures

SCHEMA_VERSION: Literal["lidcflow.release/1"] = "lidcflow.release/1"
EMBEDDED = "embedded"
"""Name of the release, and of the detector, that ship with the package: others have an alias or a version."""


class SectorPin(Record):
    """The registered model that answers for one sector; slices are numbered from 1, both ends included.

    `sha256` is that of all files of the model, see `lidcflow.files.digest_of_folder`; empty in a release from before
    digests were kept.
    """

    sector: int
    first_slice: int
    last_slice: int
    model_name: str
    version: int
    fallback: bool = False
    reason: str = ""
    training: ClassCounts
    validation: dict[str, Estimate] = Field(default_factory=dict)
    test: dict[str, Estimate] = Field(default_factory=dict)
    sha256: str = ""

    @property
    def slices(self) -> range:
        """Slices of the sector, from 0."""
        return range(self.first_slice - 1, self.last_slice)

    @property
    def uri(self) -> str:
        """Where the registry keeps the model."""
        return f"models:/{self.model_name}/{self.version}"


class BackbonePin(Record):
    """The network whose features the sector models read; `digest` is that of its weight file.

    The compact one of the package is not in the registry: the package holds it, and the digest pins it. The registry
    keeps others for people: `model_sha256` is that of the files there, while what reads studies loads the weight file.
    """

    id: str
    kind: str
    digest: str
    input: str
    size: int
    model_name: str | None = None
    version: int | None = None
    model_sha256: str = ""


class DetectorPin(Record):
    """What tells a nodule from other tissue among the candidates of a series.

    Parameters
    ----------
    detector : str
        The registered model, or ``embedded``: the one that ships with the package.
    version : int
        Its version.
    sha256 : str
        Digest of the weights of the one in the package; of a registered one, that of all its files.
    threshold : float
        P(nodule) from which a candidate is a finding.
    """

    detector: str
    version: int
    sha256: str
    threshold: float

    @property
    def uri(self) -> str:
        """Where the registry keeps it; for the one in the package, a name alone."""
        return f"models:/{self.detector}/{self.version}"


class ModelPin(Record):
    """A registered model; `sha256` is that of all its files."""

    name: str
    version: int
    sha256: str

    @property
    def uri(self) -> str:
        """Where the registry keeps it."""
        return f"models:/{self.name}/{self.version}"


class SystemFacts(Record):
    """A system that says what findings are, and what became of it in the training of a release.

    Parameters
    ----------
    kind : str
        ``segmenter``, or a kind of malignancy system.
    reason : str
        Why the release pins it, why it does not, or why none was trained.
    pinned : bool
        Whether the release reads with it.
    model : ModelPin, optional
        Where the registry keeps it; None where none was trained.
    validation, test : dict of str to Estimate
        Its figures by split; names that end with ``_embedded`` are of the package's own on the same nodules.
    """

    kind: str
    reason: str
    pinned: bool = False
    model: ModelPin | None = None
    validation: dict[str, Estimate] = Field(default_factory=dict)
    test: dict[str, Estimate] = Field(default_factory=dict)


class FindingPin(DetectorPin):
    """What finds nodules among the candidates of a series, and what says what findings are.

    Parameters
    ----------
    segmenter, malignancy : str
        SHA-256 of the weights of the package's models that outline a finding and give its P(malignant); empty in a
        release from before there were any, whose findings are described by those of the package at hand.
    own_segmenter, own_malignancy : ModelPin, optional
        Systems of one's own that do so in their place.
    """

    segmenter: str = ""
    malignancy: str = ""
    own_segmenter: ModelPin | None = None
    own_malignancy: ModelPin | None = None

    @property
    def registered(self) -> dict[str, str]:
        """Return the SHA-256 of the models of one's own, by where the registry keeps them."""
        own = [pin for pin in (self.own_segmenter, self.own_malignancy) if pin]
        detector = {} if self.detector == EMBEDDED else {self.uri: self.sha256}
        return detector | {pin.uri: pin.sha256 for pin in own}

    @property
    def joins_malignancy(self) -> bool:
        """Whether P(malignant) of findings has a say in that of slices."""
        return True

    @property
    def key(self) -> str:
        """Return what names its answers for the slices of a series: the digests of all that has a say in them."""
        malignancy = self.own_malignancy.sha256 if self.own_malignancy else self.malignancy
        return f"{self.sha256}/{malignancy}" if self.joins_malignancy else self.sha256


class NodulePin(FindingPin):
    """What answers for the candidates of a series, and how its answer joins those of the slices.

    Parameters
    ----------
    with_sectors, with_height : JoinWeights
        How the best candidate of a slice joins the sector models' probability, and that of the chest height alone.
    chest_height : tuple, three numbers a slice
        P(non-nodule), P(benign), P(malignant) of a slice by its height, top first.
    malignant_with_sectors, malignant_with_height : JoinWeights, optional
        How P(malignant) of the findings in a slice joins the share of malignant ones by the sector models, and by the
        chest height; None in a release from before that, whose slices keep those shares.
    """

    with_sectors: JoinWeights
    with_height: JoinWeights
    chest_height: tuple[tuple[float, float, float], ...]
    malignant_with_sectors: JoinWeights | None = None
    malignant_with_height: JoinWeights | None = None

    @property
    def joins_malignancy(self) -> bool:
        """Whether P(malignant) of findings has a say in that of slices."""
        return self.malignant_with_height is not None


class GateCheck(Record):
    """One rule of the gate and what came of it; `passed` is None where too few patients could tell.

    Parameters
    ----------
    rule : str
        For people: what is measured and what it must be.
    figure : str
        For programs: ``auroc``, ``log_loss``, ``calibration_error``, ``sector_auroc``, ``findings``, ``cpm``,
        ``malignancy``, ``dice``, ``comparable``.
    against : str
        What it is compared with, such as ``version 3``; empty for a floor.
    sector : int, optional
        For a rule about one sector.
    split : str
        Whose patients it was measured on.
    patients : int, optional
        Of a floor, patients with a nodule among the slices that it is about.
    value : Estimate
        Of a comparison, the release's figure minus the other's, by paired bootstrap over patients; of log loss as a
        share of the other's.
    limit : float, optional
        What `value` is held against.
    remark : str
        Why it was not judged, or why nothing could be measured.
    """

    rule: str
    figure: str
    against: str = ""
    sector: int | None = None
    split: str = "validation"
    patients: int | None = None
    value: Estimate = Estimate(value=None)
    limit: float | None = None
    passed: bool | None
    remark: str = ""


class Gate(Record):
    """Whether a release may become champion by itself, and why."""

    passed: bool
    reason: str
    compared_with: str
    checks: tuple[GateCheck, ...] = ()


class OperatingPoint(Record):
    """What a threshold comes to: share of the nodule slices that reach it, and of all slices."""

    sensitivity: Estimate
    slices_above: Estimate


class Threshold(Record):
    """The threshold of P(nodule), chosen on validation for a target; the test patients had no say."""

    value: float
    target_sensitivity: float
    validation: OperatingPoint
    test: OperatingPoint


class DataFacts(Record):
    """What a release was trained and measured on, in counts of series unless said otherwise.

    Parameters
    ----------
    patients, series : dict of str to int
        By split.
    slices : dict of str to ClassCounts
        By split.
    manufacturers, kernels, contrast : dict of str to int
        The commonest first; rare ones are counted together.
    slice_thickness_mm : three floats, optional
        Least, median and greatest, where headers give any.
    """

    patients: dict[str, int]
    series: dict[str, int]
    slices: dict[str, ClassCounts]
    manufacturers: dict[str, int]
    kernels: dict[str, int]
    contrast: dict[str, int]
    slice_thickness_mm: tuple[float, float, float] | None


class ReleaseRecord(Record):
    """Everything that a release pins, kept as JSON beside its version in the registry.

    `snapshot_digest` is that of the slices, labels and splits, which trainings with other settings share;
    `snapshot_id` that of the file which fixes this training. `detector_reason` says why the detector of `nodules` is
    the one that it is. `chosen` holds what the configuration said of settings that its training was given otherwise, by
    option, snapshot or a run's parameters: later trainings keep them while the configuration still says so. Fields
    with a default came later: a record made before them is read all the same.
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
        """Return what a recommendation says of the release."""
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
