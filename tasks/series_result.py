"""The result for one series. A command that prints it imports neither SciPy nor pydicom for that."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field

from lidcflow.report.recommendation import Verdict
from lidcflow.report.told import Told


def _is_absent(value: object) -> bool:
    return value is None


def _is_empty(value: tuple[object, ...]) -> bool:
    return not value


class RecommendedRange(BaseModel):
    """A range of slices to look at, in the numbers of the volume and of the source."""

    first_slice: int
    last_slice: int
    first_image: int | None
    last_image: int | None
    z_top_mm: float
    z_bottom_mm: float
    nodule_at_peak: float


class RecommendedFinding(BaseModel):
    """A finding to look at, in the numbers of the source."""

    rank: int
    slice_number: int
    image: int | None
    row: float
    column: float
    z_mm: float
    diameter_mm: float
    probability: float
    long_axis_mm: float | None = Field(None, exclude_if=_is_absent)
    short_axis_mm: float | None = Field(None, exclude_if=_is_absent)
    volume_mm3: float | None = Field(None, exclude_if=_is_absent)
    malignant: float | None = Field(None, exclude_if=_is_absent)
    malignancy: str | None = Field(None, exclude_if=_is_absent)
    outside: tuple[str, ...] = Field((), exclude_if=_is_empty)
    circle: str | None = Field(None, exclude_if=_is_absent)


class SeriesResult(BaseModel):
    """The result for one series and its page; `undocumented` is the reason why requested documents are missing."""

    study_instance_uid: str | None
    series_instance_uid: str
    verdict: Verdict
    reason: str | None = None
    sentence: str | None = None
    findings: tuple[RecommendedFinding, ...] = ()
    ranges: tuple[RecommendedRange, ...] = ()
    slices_left_out: int = 0
    warnings: tuple[str, ...] = ()
    told: Told = Told()
    page: Path
    documents: Path | None = None
    undocumented: str | None = None
    reused: bool
