"""The task of one sector: its job, its result, and what is kept of it until the release is complete.

``<workspace>/trainings/<inputs>/`` holds a folder for each trained sector, what of it has been logged, and the run that
it is logged on.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from lidcflow.errors import ResourceError
from lidcflow.file_lock import try_lock
from lidcflow.files import write_whole
from lidcflow.stats.estimate import ClassCounts
from tasks.snapshot import TrainingPlan

RUN, LOCK = "run.json", "lock"


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


ALL_SECTORS = SectorJob(sector_num=1, sector=1)


class SectorResult(BaseModel):
    """Result of a sector: a logged model, one that waits to be logged, or the reason why there is none."""

    model_config = ConfigDict(frozen=True)

    job: SectorJob
    model_uri: str | None = None
    model_id: str | None = None
    model_sha256: str = ""
    run_id: str | None = None
    training: ClassCounts = ClassCounts(non_nodule=0, benign=0, malignant=0)
    reason: str = ""
    waiting: bool = False


class _Logged(BaseModel):
    """A sector that has been logged below a run, or, without one, the run itself."""

    run_id: str
    result: SectorResult | None = None


def training_folder(plan: TrainingPlan) -> Path:
    """Return where the work of a training is kept: trainings of the same inputs share it."""
    return plan.config.workspace.absolute() / "trainings" / plan.inputs_digest[:12]


def sector_folder(plan: TrainingPlan, job: SectorJob) -> Path:
    """Return where the model of a sector is kept."""
    return training_folder(plan) / job.name


@contextmanager
def training_lock(plan: TrainingPlan) -> Iterator[None]:
    """Keep other processes from the same training; the lock goes with the process, however that ends.

    Raises
    ------
    ResourceError
        If another process is at it.
    """
    training_folder(plan).mkdir(parents=True, exist_ok=True)
    with open(training_folder(plan) / LOCK, "a", encoding="utf-8") as stream:
        if not try_lock(stream.fileno()):
            raise ResourceError(
                f"training {plan.inputs_digest[:12]}: only one process may do it at a time, got another one at it; "
                "wait for it to end"
            )
        yield


def kept_run(plan: TrainingPlan) -> str | None:
    """Return the id of the run that an earlier attempt opened, if there was one."""
    found = _read(training_folder(plan) / RUN)
    return found.run_id if found else None


def note_run(plan: TrainingPlan, run_id: str) -> None:
    """Remember the run of the training."""
    write_whole(training_folder(plan) / RUN, _Logged(run_id=run_id).model_dump_json())


def find_logged(plan: TrainingPlan, job: SectorJob, run_id: str) -> SectorResult | None:
    """Return what has been logged of a sector below a run."""
    found = _read(_file(plan, job))
    if found is None or found.result is None or found.run_id != run_id:
        return None
    undigested = found.result.model_uri and not found.result.model_sha256  # noted before digests were kept
    return None if undigested else found.result


def note_logged(plan: TrainingPlan, run_id: str, result: SectorResult) -> None:
    """Remember what has been logged of a sector below a run."""
    write_whole(_file(plan, result.job), _Logged(run_id=run_id, result=result).model_dump_json())


def in_short(plan: TrainingPlan) -> str:
    """Describe what is kept and how to go on."""
    sectors = sum(entry.is_dir() and not entry.name.startswith(".") for entry in training_folder(plan).iterdir())
    return (
        f"{sectors} trained models are kept in trainings/{training_folder(plan).name} of the workspace, "
        "and running the same command again logs them without training"
    )


def forget(plan: TrainingPlan) -> None:
    """Remove what was kept of a training whose release is complete."""
    shutil.rmtree(training_folder(plan), ignore_errors=True)


def _file(plan: TrainingPlan, job: SectorJob) -> Path:
    return training_folder(plan) / f"{job.name}.json"


def _read(file: Path) -> _Logged | None:
    try:
        return _Logged.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return None
