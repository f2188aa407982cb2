"""Delete what is kept of a patient, a study or a series, and keep it from coming back.

No Prefect run: its history would name what is to be forgotten.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel

from flows.repair import remove_snapshot_drafts
from lidcflow.catalog.locks import nobody_else_at_work
from lidcflow.config import Config
from lidcflow.erase.found import Found, merge_found, total
from lidcflow.erase.log import Erased, LogEntry, append
from lidcflow.erase.subject import Kind, Subject, Target, merged
from lidcflow.erase.tombstones import Tombstone, Tombstones, tombstones_in
from lidcflow.errors import ErasureError
from lidcflow.privacy import KEY_FILE, SECRET_VARIABLE
from tasks.erase import (
    delete_arms,
    delete_headers,
    delete_reports,
    delete_rows,
    delete_volumes,
    find_targets,
    found_in_histories,
    found_in_places,
    mask_histories,
    names_of,
    require_all_inside,
)
from tasks.erase_trainings import Training, erase_training, find_trainings, found_in_trainings
from tasks.tracking.connection import Tracking

COUNTED = ("series", "volumes", "reports", "header_files", "catalog_rows", "snapshots", "arms", "mentions")


class EraseReport(BaseModel):
    """Data that was deleted, or would be.

    Parameters
    ----------
    kind, key : str
        Whose data: a patient by keyed hash, a study or a series by UID.
    dry_run : bool
        Whether nothing was deleted.
    series : list of str
        SeriesInstanceUIDs of which anything was kept; a finished erasure does not tell them.
    """

    kind: Kind
    key: str
    dry_run: bool
    series: list[str]
    deleted: Erased
    notice: str = "Research use only."


class LiftReport(BaseModel):
    """Subjects that may be processed again."""

    kind: Kind
    key: str
    lifted: bool


def erase(subject: Subject, config: Config, *, dry_run: bool = False) -> EraseReport:
    """Delete everything of a subject; what was cut short is completed when it is run again.

    Raises
    ------
    ErasureError
        If there is no workspace, or a link leads out of it.
    ResourceError
        If anything else is under way there, or a store or MLflow can't be reached: run it again then.
    """
    require_workspace(config.workspace)
    with nobody_else_at_work(config.workspace, config.catalog):
        require_all_inside(config)
        plan = plan_erasure(subject, config)
        if dry_run:
            uids = [target.series_instance_uid for target in plan.targets]
            return _report(subject, uids, sum_up(plan.found), dry_run=True)
        with Tombstones(config.catalog) as tombstones:
            begun = tombstones.begin(subject, plan.targets, plan.found)
            deleted = sum_up(begun.found, delete_all(plan, begun, config))
            append(config.workspace, _entry(begun, "erased", deleted))
            tombstones.finish(subject)
    return _report(subject, [], deleted, dry_run=False)


@dataclass(frozen=True)
class ErasurePlan:
    """Data to be deleted.

    Parameters
    ----------
    subject : Subject
        Whose data.
    targets : tuple of Target
        Its series, those of an earlier try that was cut short too.
    found : Found
        What all tries found of them.
    trainings : list of Training
        Training sets that hold rows of them now.
    names : frozenset of str
        What histories may name.
    """

    subject: Subject
    targets: tuple[Target, ...]
    found: Found
    trainings: list[Training]
    names: frozenset[str]


def plan_erasure(subject: Subject, config: Config) -> ErasurePlan:
    """Find what is kept of a subject, and put what an earlier try found beside it."""
    begun = [stone for stone in tombstones_in(config.catalog) if stone.subject == subject]
    targets = merged([*find_targets(subject, config), *(target for stone in begun for target in stone.waiting)])
    uids = [target.series_instance_uid for target in targets]
    trainings = find_trainings(uids, config.workspace, Tracking.of(config))
    names = names_of(subject, targets, config)
    found = merge_found(
        *(stone.found for stone in begun),
        {"series": dict.fromkeys(uids, 1)},
        found_in_places(uids, config),
        found_in_histories(names, config),
        found_in_trainings(trainings),
    )
    return ErasurePlan(subject, targets, found, trainings, names)


def delete_all(plan: ErasurePlan, erasure: Tombstone, config: Config) -> list[str]:
    """Delete what every place keeps of series, the rows that name them last; return what is left to people."""
    uids, left = [target.series_instance_uid for target in plan.targets], list[str]()
    mask_histories(plan.names, config)
    delete_volumes(uids, config)
    delete_reports(uids, config.reports_path)
    delete_arms(uids, config.workspace)
    remove_snapshot_drafts(config.workspace / "snapshots")
    tracking, on = Tracking.of(config), f"{erasure.asked:%Y-%m-%d}"
    for training in plan.trainings:
        left += erase_training(training, uids, tracking, name=erasure.erasure, on=on)
    delete_headers(uids, config.workspace)
    delete_rows(plan.targets, config, whole_studies=plan.subject.kind != "series")
    return left


def sum_up(found: Found, left: Collection[str] = ()) -> Erased:
    """Count what was found, without what MLflow's storage left."""
    elsewhere = found.get("elsewhere", {})
    return Erased(
        **{place: total(found, place) for place in COUNTED},
        artifacts=total(found, "artifacts") - len(left),
        releases=tuple(sorted(map(int, found.get("releases", {})))),
        models=tuple(sorted(found.get("models", {}))),
        left=(*sorted(elsewhere), *left),
    )


def lift(key: str, config: Config) -> list[LiftReport]:
    """Admit patients, studies and series again whose erasure is done; nothing that was deleted comes back by itself.

    Raises
    ------
    ErasureError
        If nothing of that key was erased, or its erasure was cut short.
    """
    require_workspace(config.workspace)
    with Tombstones(config.catalog) as tombstones:
        found = [stone for stone in tombstones.all() if stone.subject.key == key]
        if not found:
            raise ErasureError(
                f"erase: what is to be admitted again must have been erased, got {key}; `lidcflow erase --list` lists "
                "what was"
            )
        for stone in found:
            tombstones.lift(stone.subject)
            append(config.workspace, _entry(stone, "lifted", Erased()))
    return [LiftReport(kind=stone.subject.kind, key=key, lifted=True) for stone in found]


def require_workspace(workspace: Path) -> None:
    """Make sure that there is something to erase from.

    Raises
    ------
    ErasureError
        If there is no workspace.
    """
    if not workspace.is_dir():
        raise ErasureError(f"erase: workspace {workspace} must be there; choose one with --workspace")


def require_patient_key(config: Config) -> None:
    """Make sure that a PatientID is hashed as those of the workspace were, not with a key made now.

    Raises
    ------
    ErasureError
        If the key of the hash is not there.
    """
    require_workspace(config.workspace)
    file = config.workspace / KEY_FILE
    if config.patient_key == "private" and not os.environ.get(SECRET_VARIABLE) and not file.exists():
        raise ErasureError(
            f"erase: the key of the patient hash must be there, got neither {file} nor {SECRET_VARIABLE}; "
            "bring it back, or name the patient by --patient KEY"
        )


def _entry(stone: Tombstone, action: str, deleted: Erased) -> LogEntry:
    now = datetime.now(UTC)
    facts = {"erasure": stone.erasure, "action": action, "asked": stone.asked, "done": now, "deleted": deleted}
    return LogEntry.model_validate({"kind": stone.subject.kind, "key": stone.subject.key, **facts})


def _report(subject: Subject, uids: list[str], deleted: Erased, *, dry_run: bool) -> EraseReport:
    return EraseReport(kind=subject.kind, key=subject.key, dry_run=dry_run, series=uids, deleted=deleted)
