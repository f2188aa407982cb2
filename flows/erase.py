"""Delete what is kept of a patient, a study or a series, and keep it from coming back.

No Prefect run: its history would name what is to be forgotten.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime

from pydantic import BaseModel

from lidcflow.config import Config
from lidcflow.erasure.log import Entry, Erased, append
from lidcflow.erasure.subject import Kind, Subject, Target, merged
from lidcflow.errors import ErasureError
from lidcflow.privacy import KEY_FILE, SECRET_VARIABLE
from lidcflow.store.tombstones import Tombstone, Tombstones, tombstones_in
from lidcflow.store.turns import nobody_else_at_work
from tasks.erase import delete_arms, delete_headers, delete_reports, delete_rows, delete_volumes, find_targets
from tasks.erase_trainings import erase_training, find_trainings


class EraseReport(BaseModel):
    """What was deleted, or would be.

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
    """Who may come in again."""

    kind: Kind
    key: str
    lifted: bool


def erase(subject: Subject, config: Config, *, dry_run: bool = False) -> EraseReport:
    """Delete everything of a subject; what was cut short is completed when it is run again.

    Raises
    ------
    ErasureError
        If there is no workspace.
    ResourceError
        If anything else is under way there, or a store or MLflow can't be reached: run it again then.
    """
    require_workspace(config)
    with nobody_else_at_work(config.workspace, config.catalog):
        waiting = [
            target for stone in tombstones_in(config.catalog) if stone.subject == subject for target in stone.waiting
        ]
        targets = merged([*find_targets(subject, config), *waiting])
        if dry_run:
            uids = [target.series_instance_uid for target in targets]
            return _report(subject, uids, delete_all(targets, config), dry_run=True)
        with Tombstones(config.catalog) as tombstones:
            begun = tombstones.begin(subject, targets)
            deleted = delete_all(begun.waiting, config, begun)
            append(config.workspace, _entry(begun, "erased", deleted))
            tombstones.finish(subject)
    return _report(subject, [], deleted, dry_run=False)


def delete_all(targets: tuple[Target, ...], config: Config, erasure: Tombstone | None = None) -> Erased:
    """Delete what every place keeps of series, the rows that name them last; without an erasure only count."""
    uids, dry = [target.series_instance_uid for target in targets], erasure is None
    volumes = delete_volumes(uids, config, dry=dry)
    reports = delete_reports(uids, config, dry=dry)
    headers = delete_headers(uids, config, dry=dry)
    arms = delete_arms(uids, config, dry=dry)
    trainings = find_trainings(uids, config)
    left: list[str] = []
    for training in trainings if erasure else []:
        left += erase_training(training, uids, config, name=erasure.erasure, on=f"{erasure.asked:%Y-%m-%d}")
    return Erased(
        series=len(uids),
        volumes=volumes,
        reports=reports,
        header_files=headers,
        catalog_rows=delete_rows(uids, config, dry=dry),
        snapshots=len(trainings),
        arms=arms,
        artifacts=sum(training.artifacts for training in trainings) - len(left),
        releases=tuple(sorted({version for training in trainings for version in training.releases})),
        left=tuple(left),
    )


def lift(key: str, config: Config) -> list[LiftReport]:
    """Let patients, studies and series in again whose erasure is done; nothing that was deleted comes back by itself.

    Raises
    ------
    ErasureError
        If nothing of that key was erased, or its erasure was cut short.
    """
    require_workspace(config)
    with Tombstones(config.catalog) as tombstones:
        found = [stone for stone in tombstones.all() if stone.subject.key == key]
        if not found:
            raise ErasureError(
                f"erase: what is let in again must have been erased, got {key}; `lidcflow erase --list` lists what was"
            )
        for stone in found:
            tombstones.lift(stone.subject)
            append(config.workspace, _entry(stone, "lifted", Erased()))
    return [LiftReport(kind=stone.subject.kind, key=key, lifted=True) for stone in found]


def require_workspace(config: Config) -> None:
    """Make sure that there is something to erase from.

    Raises
    ------
    ErasureError
        If there is no workspace.
    """
    if not config.workspace.is_dir():
        raise ErasureError(f"erase: workspace {config.workspace} must be there; choose one with --workspace")


def require_patient_key(config: Config) -> None:
    """Make sure that a PatientID is hashed as those of the workspace were, not with a key made now.

    Raises
    ------
    ErasureError
        If the key of the hash is not there.
    """
    require_workspace(config)
    file = config.workspace / KEY_FILE
    if config.patient_key == "private" and not os.environ.get(SECRET_VARIABLE) and not file.exists():
        raise ErasureError(
            f"erase: the key of the patient hash must be there, got neither {file} nor {SECRET_VARIABLE}; "
            "bring it back, or name the patient by --patient KEY"
        )


def _entry(stone: Tombstone, action: str, deleted: Erased) -> Entry:
    now = datetime.now(UTC)
    facts = {"erasure": stone.erasure, "action": action, "asked": stone.asked, "done": now, "deleted": deleted}
    return Entry.model_validate({"kind": stone.subject.kind, "key": stone.subject.key, **facts})


def _report(subject: Subject, uids: list[str], deleted: Erased, *, dry_run: bool) -> EraseReport:
    return EraseReport(kind=subject.kind, key=subject.key, dry_run=dry_run, series=uids, deleted=deleted)
