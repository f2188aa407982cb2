"""A release as a folder of facts: record, card and evaluations, in the workspace and on the run of its training."""

from __future__ import annotations

import shutil
from pathlib import Path

from lidcflow.config.validators import in_a_line
from lidcflow.errors import ReleaseError
from lidcflow.files import write_together
from lidcflow.release.card import release_card
from lidcflow.release.record import ReleaseRecord
from tasks.tracking import registry
from tasks.tracking.artifacts import private_copy
from tasks.tracking.connection import Tracking
from tasks.tracking.runs import Run

SPLITS = ("test", "validation")
"""Whose evaluations lie in the folder, each in one of that name."""


def release_facts_folder(record: ReleaseRecord, reports: Path) -> Path:
    """Return where the facts of a release lie in the workspace."""
    return reports / "releases" / f"{record.name}-v{record.version}"


def write_facts(record: ReleaseRecord, folder: Path) -> None:
    """Write ``release.json`` and ``card.md``, each whole or not at all; evaluations that lie there stay."""
    folder.mkdir(parents=True, exist_ok=True)
    write_together(
        {registry.RECORD_FILE: record.model_dump_json(indent=2), registry.CARD: release_card(record)}, folder
    )


def keep_card(run: Run, record: ReleaseRecord) -> None:
    """Put the card beside the record on the run of the training."""
    run.text(release_card(record), f"{registry.RECORD_FOLDER}/{registry.CARD}")


def export_facts(tracking: Tracking, record: ReleaseRecord, folder: Path) -> list[Path]:
    """Write the facts of a release anywhere, with the evaluations that its training's run keeps; list the files.

    Raises
    ------
    ReleaseError
        If the folder holds files, and not those of this release: the evaluations of another one would stay beside it.
    """
    _require_own(record, folder)
    source = registry.release_folder(tracking, registry.training_of(tracking, record.version))
    with private_copy(tracking, source, f"facts of release {record.name} version {record.version}") as kept:
        for evaluation in [kept / split for split in SPLITS if (kept / split).is_dir()]:
            shutil.copytree(evaluation, folder / evaluation.name, dirs_exist_ok=True)
    write_facts(record, folder)
    return sorted(file for file in folder.rglob("*") if file.is_file())


def _require_own(record: ReleaseRecord, folder: Path) -> None:
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    try:
        held = ReleaseRecord.model_validate_json((folder / registry.RECORD_FILE).read_bytes())
        found = "files of another release"
    except (OSError, ValueError):
        held, found = None, "other files"
    if held is None or (held.name, held.version, held.created) != (record.name, record.version, record.created):
        raise ReleaseError(
            f"export of {record.name} version {record.version}: {in_a_line(folder)} must be a new or an empty folder, "
            f"or hold an export of this release, got {found}; name another folder"
        )
