"""A model of the nodule stage that a training fits beside its sectors: its folder, its run, what was logged of it.

``<workspace>/trainings/<inputs>/<place>/`` holds the trained model and what of it has been logged, and it or the folder
around it what the model learns from; all of it names series or shows images of theirs, so that an erasure deletes it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from lidcflow.errors import TrackingUnavailable
from lidcflow.files import write_whole
from tasks.sector import training_folder
from tasks.snapshot import TrainingPlan
from tasks.tracking.connection import Tracking
from tasks.tracking.models import LoggedModel
from tasks.tracking.runs import Run, open_run

MODEL, LOGGED = "model", "logged.json"


class ModelResult(BaseModel):
    """Result of a model: it is logged, it waits to be logged, or there is a reason why there is none.

    Parameters
    ----------
    own : bool
        Whether the trained one is better than that of the package.
    reason : str
        Why it is, why it is not, or why none was trained.
    """

    model_config = ConfigDict(frozen=True)

    own: bool = False
    reason: str = ""
    model_uri: str | None = None
    model_id: str | None = None
    model_sha256: str = ""
    run_id: str | None = None
    waiting: bool = False


Result = TypeVar("Result", bound=ModelResult)
Kept = TypeVar("Kept")


class _Logged(BaseModel, Generic[Result]):
    """A model that has been logged below a run."""

    run_id: str
    result: Result


@dataclass(frozen=True)
class NoduleModel(Generic[Kept, Result]):
    """Fitting and logging of one kind of model.

    Attributes
    ----------
    kind : str
        Name of the tag of its run.
    place : str
        Its folder, from that of the training.
    title : str
        Name of its run.
    result : type
        Of what becomes of it.
    fit : callable
        Trains it, or returns the one that an earlier attempt has kept.
    log : callable
        Logs it on a run of its own.
    """

    kind: str
    place: str
    title: str
    result: type[Result]
    fit: Callable[[TrainingPlan], Kept]
    log: Callable[[TrainingPlan, Run, Kept], Result]

    def folder(self, plan: TrainingPlan) -> Path:
        """Return where a training keeps it, with what it learns from."""
        return training_folder(plan) / self.place

    def train(self, plan: TrainingPlan, run_id: str | None) -> Result:
        """Train it and keep it; log it below the run of the training where MLflow answers."""
        try:
            kept = self.fit(plan)
        except Exception as error:
            self._log_failure(plan, run_id, error)
            raise
        if run_id is not None:
            with suppress(TrackingUnavailable):
                return self.log_once(plan, run_id, kept)
        return self.result(waiting=True)

    def log_once(self, plan: TrainingPlan, run_id: str, kept: Kept) -> Result:
        """Log it as a run of its own, unless an earlier attempt has."""
        if found := self._find_logged(plan, run_id):
            return found
        with self._open_run(plan, run_id) as run:
            result = self.log(plan, run, kept)
        noted = _Logged[Result](run_id=run_id, result=result)
        write_whole(self.folder(plan) / LOGGED, noted.model_dump_json())
        return result

    def log_again(self, plan: TrainingPlan, run_id: str) -> Result:
        """Log it after it waited for MLflow."""
        return self.log_once(plan, run_id, self.fit(plan))

    def _find_logged(self, plan: TrainingPlan, run_id: str) -> Result | None:
        try:
            found = _Logged[self.result].model_validate_json(  # type: ignore[name-defined]
                (self.folder(plan) / LOGGED).read_bytes()
            )
        except (OSError, ValidationError):
            return None
        return found.result if found.run_id == run_id else None

    def _log_failure(self, plan: TrainingPlan, run_id: str | None, error: Exception) -> None:
        """Leave a failed run with the reason; an unavailable server must not hide the reason from the flow."""
        if run_id is not None:
            with suppress(type(error), TrackingUnavailable), self._open_run(plan, run_id):
                raise error

    def _open_run(self, plan: TrainingPlan, run_id: str) -> AbstractContextManager[Run]:
        return open_run(Tracking.of(plan.config), self.title, parent_id=run_id, tags={"model": self.kind})


def facts_of(logged: LoggedModel, *, own: bool, reason: str) -> dict[str, object]:
    """Return the fields of the result of a logged model."""
    return {
        "own": own,
        "reason": reason,
        "model_uri": logged.uri,
        "model_id": logged.model_id,
        "model_sha256": logged.sha256,
        "run_id": logged.run_id,
    }
