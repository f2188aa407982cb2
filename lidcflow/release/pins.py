"""Pins of a release: its models, by version and digest."""

from __future__ import annotations

from pydantic import Field

from lidcflow.nodules.join_weights import JoinWeights
from lidcflow.stats.estimate import ClassCounts, Estimate, Record

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
        """URI of the model in the registry."""
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
    """The detector that classifies the candidates of a series.

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
        """URI in the registry; for the one in the package, a name alone."""
        return f"models:/{self.detector}/{self.version}"


class ModelPin(Record):
    """A registered model; `sha256` is that of all its files."""

    name: str
    version: int
    sha256: str

    @property
    def uri(self) -> str:
        """URI in the registry."""
        return f"models:/{self.name}/{self.version}"


class SystemFacts(Record):
    """A system of findings, and its result in the training of a release.

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
    """The models of findings: detector, segmenter and malignancy system.

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
    """The detector and its systems, and how their results join those of the slices.

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
