"""The recommendation for a series: frozen models of the schema ``lidcflow.recommendation/2``."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from lidcflow.nodules.finding import Finding
from lidcflow.notice import STATEMENT
from lidcflow.part import Part, Probability
from lidcflow.release.facts import ReleaseFacts, SectorNumber

SCHEMA_ID: Literal["lidcflow.recommendation/2"] = "lidcflow.recommendation/2"
FIRST_SCHEMA_ID = "lidcflow.recommendation/1"
"""Schema of documents without findings, which are read as version 2."""

Verdict = Literal["ranges", "nothing-above-threshold", "not-evaluated"]
SliceNumber = Annotated[int, Field(ge=1, description="number of a slice, 1 at the top of the chest")]


def _is_absent(value: object) -> bool:
    return value is None


def _is_empty(value: tuple[object, ...]) -> bool:
    return not value


def _as_version_2(schema_id: object) -> object:
    """Read a document of version 1 as one of version 2: what it lacks is empty there."""
    return SCHEMA_ID if schema_id == FIRST_SCHEMA_ID else schema_id


class SourceImage(Part):
    """One DICOM instance of the series, or one frame of its multi-frame instance."""

    sop_instance_uid: str
    instance_number: int | None = Field(description="Instance Number (0020,0013), what viewers show")
    frame_number: int | None = Field(
        None, ge=1, exclude_if=_is_absent, description="of a frame, 1 for the first; left out for other instances"
    )
    z_mm: float = Field(description="position along the patient's z axis, in mm")

    @property
    def number(self) -> int | None:
        """The number that viewers show: that of a frame, or of an instance with a single one."""
        return self.instance_number if self.frame_number is None else self.frame_number


class WeightedSourceImage(SourceImage):
    """One source image and its share in a slice."""

    weight: float = Field(ge=0, le=1, description="share of the slice's thickness")


Image = SourceImage | Finding
"""Reference to a source image: the image itself, or a finding's middle image."""


class Probabilities(Part):
    """Calibrated probabilities of one slice."""

    non_nodule: Probability
    benign: Probability
    malignant: Probability
    nodule: Probability = Field(description="benign + malignant")


def _is_false(value: bool) -> bool:
    return not value


class SliceReading(Part):
    """One slice as the release reads it, with the source images it was made of."""

    slice_number: SliceNumber
    sector: SectorNumber
    rank: int = Field(ge=1, description="1 for the highest P(nodule) of the study")
    z_top_mm: float
    z_bottom_mm: float
    z_mm: float = Field(description="middle of the slice along z, in mm")
    probabilities: Probabilities
    blank: bool = Field(
        False,
        exclude_if=_is_false,
        description="true: its source images show nothing, its probabilities mean nothing; left out when false",
    )
    source_images: tuple[WeightedSourceImage, ...] = Field(description="top of the chest first")


class SliceRange(Part):
    """Neighbouring slices to look at, with their peak."""

    rank: int = Field(ge=1, description="1 for the range to look at first")
    first_slice: SliceNumber
    last_slice: SliceNumber
    peak_slice: SliceNumber = Field(description="slice with the highest P(nodule) of the range")
    findings: tuple[Annotated[int, Field(ge=1)], ...] = Field((), description="ranks of the findings in it, best first")
    sectors: tuple[SectorNumber, ...]
    z_top_mm: float
    z_bottom_mm: float
    z_peak_mm: float
    nodule_at_peak: Probability = Field(description="P(nodule) at the peak slice, the highest of the range")
    malignant_at_peak: Probability = Field(description="P(malignant) at the peak slice")
    malignant_max: Probability = Field(description="highest P(malignant) of the range")
    source_images: tuple[SourceImage, ...] = Field(description="every image in the range, top first")
    peak_source_images: tuple[WeightedSourceImage, ...] = Field(description="the images in the peak slice")


class VolumeFacts(Part):
    """The volume that was read and the series it was made of."""

    slices: int = Field(ge=1)
    z_top_mm: float
    z_bottom_mm: float
    slice_height_mm: float = Field(gt=0)
    source_slices: int = Field(ge=1, description="source images of the series")
    slice_spacing_mm: float = Field(gt=0, description="median distance of source slices")
    rows: int = Field(ge=1, description="of a source image")
    columns: int = Field(ge=1, description="of a source image")
    row_spacing_mm: float = Field(gt=0, description="of a source image")
    column_spacing_mm: float = Field(gt=0, description="of a source image")
    acquisition: dict[str, str | int | float | bool | None] = Field(
        description="manufacturer, kernel, kVp and the like"
    )
    orientation: tuple[float, ...] | None = Field(
        None,
        min_length=6,
        max_length=6,
        exclude_if=_is_absent,
        description="direction cosines of a stored row, then of a column; left out where slices are stored as usual, "
        "rows to the patient's left and columns to the back",
    )
    flags: tuple[str, ...] = Field(description="what preprocessing found worth saying")
    preprocess_digest: str
    volume_digest: str = Field(description="SHA-256 of the voxels and slice edges")


class SeriesWarning(Part):
    """Something in which the series is unlike those that the release was trained on."""

    code: str = Field(description="such as unlike-training-kernel")
    sentence: str


class Reason(Part):
    """The reason why a series was not evaluated."""

    code: str = Field(description="such as missing-slices")
    sentence: str


class GeneratedBy(Part):
    """The program that wrote the recommendation."""

    name: str = "lidcflow"
    version: str = Field(default_factory=lambda: version("lidcflow"))


class Recommendation(Part):
    """The answer for one series: which slices to look at, or why there is none."""

    schema_id: Annotated[Literal["lidcflow.recommendation/2"], BeforeValidator(_as_version_2)] = SCHEMA_ID
    statement: Literal["Research use only, not for diagnosis."] = STATEMENT
    generated_by: GeneratedBy = Field(default_factory=GeneratedBy)
    study_instance_uid: str | None
    series_instance_uid: str
    synthetic: bool = Field(description="whether the images are synthetic")
    release: ReleaseFacts
    verdict: Verdict
    reason: Reason | None = Field(None, description="only with not-evaluated")
    volume: VolumeFacts | None = Field(None, description="none with not-evaluated")
    warnings: tuple[SeriesWarning, ...] = Field(
        (), exclude_if=_is_empty, description="why the series may be unlike those of training; left out when it is not"
    )
    findings: tuple[Finding, ...] = Field((), description="what the detector found; best first")
    ranges: tuple[SliceRange, ...] = Field((), description="only with ranges; best first")
    ranges_left_out: int = Field(0, ge=0, description="further ranges that the review budget leaves out whole")
    slices_left_out: int = Field(
        0, ge=0, description="slices at or above the threshold, or with a finding, that the review budget leaves out"
    )
    highest_slices: tuple[SliceReading, ...] = Field((), description="only with nothing-above-threshold; best first")
    slices: tuple[SliceReading, ...] = Field((), description="all slices, top of the chest first")

    @model_validator(mode="after")
    def _says_what_its_verdict_promises(self) -> Recommendation:
        promised = {"ranges": self.ranges, "nothing-above-threshold": self.highest_slices, "not-evaluated": self.reason}
        present = [verdict for verdict, content in promised.items() if content]
        if present != [self.verdict]:
            raise ValueError(f"verdict must fit its content, got '{self.verdict}' with that of {present}")
        if (self.verdict == "not-evaluated") == bool(self.slices and self.volume):
            raise ValueError(
                f"slices and volume must come with every verdict but 'not-evaluated', got '{self.verdict}'"
            )
        return self

    @model_validator(mode="after")
    def _names_findings_that_are_there(self) -> Recommendation:
        if [one.rank for one in self.findings] != list(range(1, len(self.findings) + 1)):
            raise ValueError(f"findings must be ranked from 1, got {[one.rank for one in self.findings]}")
        named = {rank for one in self.ranges for rank in one.findings}
        if not named <= {one.rank for one in self.findings}:
            raise ValueError(f"ranges must name findings that are there, got {sorted(named)} of {len(self.findings)}")
        if self.findings and self.verdict != "ranges":
            raise ValueError(f"findings must come with verdict 'ranges', got '{self.verdict}'")
        return self

    def findings_in(self, one: SliceRange) -> tuple[Finding, ...]:
        """Return the findings in a range, best first."""
        return tuple(self.findings[rank - 1] for rank in one.findings)

    def to_json(self) -> str:
        """Return the recommendation as the text of ``recommendations.json``."""
        return self.model_dump_json(indent=2) + "\n"


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a recommendation, as kept in ``schemas/recommendation-2.json``."""
    schema = Recommendation.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:{SCHEMA_ID}", **schema}


def json_schema_text() -> str:
    """Return the JSON Schema as the text of its file."""
    return json.dumps(json_schema(), indent=2) + "\n"
