"""A trained sector as files, so that nothing is lost between its training and the registry.

Importing this module imports Keras.
"""

from __future__ import annotations

import secrets
import shutil
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import ValidationError

from lidcflow.digests import digest_of_folder
from lidcflow.errors import ReleaseError
from lidcflow.learn.calibration import Calibration
from lidcflow.learn.network_file import load_network
from lidcflow.learn.release import ClassCounts, Estimate, Record
from lidcflow.learn.training import TrainedSector

FACTS, MODEL, ROWS = "sector.json", "model.keras", "validation.parquet"
DIGEST = "sha256"
"""File with the digest of the others: a sector that was damaged on the disk is trained again."""


class SectorFacts(Record):
    """What is kept of a trained sector beside its model and its validation rows."""

    schema_version: Literal["lidcflow.sector/1"] = "lidcflow.sector/1"
    lidcflow_version: str
    history: dict[str, list[float]]
    best_epoch: int
    remark: str
    calibration: tuple[float, tuple[float, float, float]]
    training: ClassCounts
    validation: dict[str, Estimate]
    test: dict[str, Estimate]
    validation_confusion: list[list[int]]


def keep_sector(trained: TrainedSector, folder: Path) -> None:
    """Write a trained sector into `folder`, whole or not at all; no pickle."""
    draft = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    draft.mkdir(parents=True)
    try:
        trained.model.save(draft / MODEL)
        trained.validation_rows.to_parquet(draft / ROWS)
        (draft / FACTS).write_text(_facts(trained).model_dump_json(), encoding="utf-8")
        (draft / DIGEST).write_text(digest_of_folder(draft), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def find_sector(folder: Path) -> TrainedSector | None:
    """Read a trained sector; None where there is none, or one that changed or is of another version of lidcflow.

    It is trained again then.
    """
    try:
        if digest_of_folder(folder, without=(DIGEST,)) != (folder / DIGEST).read_text(encoding="utf-8"):
            return None
        facts = SectorFacts.model_validate_json((folder / FACTS).read_bytes())
        if facts.lidcflow_version != installed_version("lidcflow"):
            return None
        return TrainedSector(
            model=load_network(folder / MODEL, f"kept model {folder.name}"),
            calibration=Calibration(*facts.calibration),
            history=facts.history,
            best_epoch=facts.best_epoch,
            remark=facts.remark,
            training=facts.training,
            validation=facts.validation,
            test=facts.test,
            validation_rows=pd.read_parquet(folder / ROWS),
            validation_confusion=np.array(facts.validation_confusion, dtype=np.int64),
        )
    except (OSError, ValueError, ValidationError, ReleaseError):
        return None


def _facts(trained: TrainedSector) -> SectorFacts:
    return SectorFacts(
        lidcflow_version=installed_version("lidcflow"),
        history=trained.history,
        best_epoch=trained.best_epoch,
        remark=trained.remark,
        calibration=(trained.calibration.scale, trained.calibration.offsets),
        training=trained.training,
        validation=trained.validation,
        test=trained.test,
        validation_confusion=trained.validation_confusion.tolist(),
    )
