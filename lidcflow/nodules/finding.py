"""A finding: a place that the detector takes for a nodule, traced to its source image."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lidcflow.part import Part, Probability

Channel = Literal["solid", "ground-glass", "mass"]
Uncertain = Annotated[float, Field(ge=0, lt=1)]
"""A probability that never claims certainty."""


def _is_absent(value: object) -> bool:
    return value is None


class Finding(Part):
    """A candidate above the detector's threshold."""

    rank: int = Field(ge=1, description="1 for the highest probability of the series")
    probability: Uncertain = Field(description="P(nodule) as the detector says it, calibrated, never exactly 1")
    malignant: Probability | None = Field(
        None, exclude_if=_is_absent, description="P(malignant); left out where no model says it"
    )
    channel: Channel = Field(description="the filter that found it: for solid nodules, for ground glass or for masses")
    diameter_mm: float = Field(gt=0)
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
    slice_number: int = Field(ge=1, description="slice that holds its centre, 1 at the top of the chest")
    sop_instance_uid: str = Field(description="its middle image: the source image nearest to its centre")
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
        """What viewers show of its middle image: the number of a frame, or of an instance with a single one."""
        return self.instance_number if self.frame_number is None else self.frame_number

    @property
    def z_span_mm(self) -> tuple[float, float]:
        """Where it begins and ends along z, the top first."""
        return self.z_mm + self.diameter_mm / 2, self.z_mm - self.diameter_mm / 2
