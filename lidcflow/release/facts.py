"""The part of a release that a recommendation repeats."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from lidcflow.part import Part, Probability

SectorNumber = Annotated[int, Field(ge=1, description="number of a sector, 1 at the top of the chest")]


class ReleaseFacts(Part):
    """The facts about its release in a recommendation."""

    name: str
    version: int = Field(ge=1)
    threshold_nodule: Probability = Field(description="P(nodule) at or above which a slice is recommended")
    sector_num: int = Field(ge=1, description="sectors of the chest, each read by its own model")
    backbone_id: str
    preprocess_digest: str = Field(description="SHA-256 of the preprocessing the release was trained with")
    synthetic: bool = Field(description="whether any of its training series were synthetic")
    fallback_sectors: tuple[SectorNumber, ...] = Field((), description="sectors read by the all-sector model")
