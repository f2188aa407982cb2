"""Which sector a task is about, and what became of it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from lidcflow.learn.release import ClassCounts


class SectorJob(BaseModel):
    """Which sector, of how many; `1 of 1` is the all-sector model."""

    model_config = ConfigDict(frozen=True)

    sector_num: int
    sector: int

    @property
    def title(self) -> str:
        """Name for people: `sector 03 of 05`."""
        return f"sector {self.sector:02d} of {self.sector_num:02d}" if self.sector_num > 1 else "all sectors"

    @property
    def name(self) -> str:
        """Name for files and models: `sector-03-of-05`."""
        return self.title.replace(" ", "-")


class SectorResult(BaseModel):
    """What became of a sector: a logged model, one that waits to be logged, or the reason why there is none."""

    model_config = ConfigDict(frozen=True)

    job: SectorJob
    model_uri: str | None = None
    model_id: str | None = None
    model_sha256: str = ""
    run_id: str | None = None
    training: ClassCounts = ClassCounts(non_nodule=0, benign=0, malignant=0)
    reason: str = ""
    waiting: bool = False
