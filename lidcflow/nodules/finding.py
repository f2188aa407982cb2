"""A finding: a place that the detector takes for a nodule, traced to its source image."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lidcflow.nodules.mask import Mask
from lidcflow.part import Part, Probability

Channel = Literal["solid", "ground-glass", "mass"]
Uncertain = Annotated[float, Field(ge=0, lt=1)]
"""A probability that never claims certainty."""


def _is_absent(value: object) -> bool:
    return value is None


def _is_empty(value: tuple[object, ...]) -> bool:
    return not value


class Finding(Part):
    """A candidate above the detector's threshold."""

    rank: int = Field(ge=1, description="1 for the highest probability of the series")
    probability: Uncertain = Field(description="P(nodule) as the detector says it, calibrated, never exactly 1")
    malignant: Probability | None = Field(
        None, exclude_if=_is_absent, description="P(malignant) of it as a nodule; left out where no model says it"
    )
    malignancy: str | None = Field(None, exclude_if=_is_absent, description="the system that gave P(malignant)")
    outside: tuple[str, ...] = Field(
        (),
        exclude_if=_is_empty,
        description="in what it lies outside of the nodules that this system was trained on, such as size; left out "
        "where in nothing",
    )
    channel: Channel = Field(description="the filter that found it: for solid nodules, for ground glass or for masses")
    diameter_mm: float = Field(gt=0, description="of the filter's circle")
    long_axis_mm: float | None = Field(
        None, gt=0, exclude_if=_is_absent, description="longest diameter of its outline; left out where it has none"
    )
    short_axis_mm: float | None = Field(
        None, gt=0, exclude_if=_is_absent, description="longest diameter of its outline perpendicular to that"
    )
    volume_mm3: float | None = Field(None, gt=0, exclude_if=_is_absent, description="of what is inside its outlines")
    outline: tuple[tuple[float, float], ...] | None = Field(
        None,
        min_length=4,
        exclude_if=_is_absent,
        description="closed polygon in its middle image: row and column of each corner, the last one as the first; 0 "
        "is the centre of the first pixel",
    )
    mask: Mask | None = Field(None, exclude_if=_is_absent, description="voxels inside its outlines")
    circle: str | None = Field(
        None, exclude_if=_is_absent, description="why the filter's circle stands for an outline; left out with one"
    )
    z_mm: float = Field(description="position of its centre along the patient's z axis, in mm")
    x_mm: float | None = Field(
        None,
        exclude_if=_is_absent,
        description="its centre towards the patient's left (LPS), in mm; left out where the volume does not keep it",
    )
    y_mm: float | None = Field(
        None,
        exclude_if=_is_absent,
        description="its centre towards the patient's back (LPS), in mm; left out where the volume does not keep it",
    )
    slice_number: int = Field(
        ge=1, description="slice that holds its largest outline, or else its centre; 1 at the top of the chest"
    )
    sop_instance_uid: str = Field(
        description="its middle image: the source image nearest to its largest outline, or else to its centre"
    )
    instance_number: int | None = Field(description="Instance Number (0020,0013) of that image, what viewers show")
    frame_number: int | None = Field(
        None, ge=1, exclude_if=_is_absent, description="of a frame, 1 for the first; left out for other instances"
    )
    row: float = Field(ge=-0.5, description="of its centre in that image; 0 is the centre of the first row's pixels")
    column: float = Field(
        ge=-0.5, description="of its centre in that image; 0 is the centre of the first column's pixels"
    )

    @property
    def number(self) -> int | None:
        """The number of its middle image in viewers: that of a frame, or of an instance with a single one."""
        return self.instance_number if self.frame_number is None else self.frame_number

    @property
    def size_mm(self) -> float:
        """Its displayed diameter: the long axis of its outline, or else that of the filter's circle."""
        return self.diameter_mm if self.long_axis_mm is None else self.long_axis_mm

    @property
    def z_span_mm(self) -> tuple[float, float]:
        """Its extent along z, the top first."""
        return self.z_mm + self.diameter_mm / 2, self.z_mm - self.diameter_mm / 2
