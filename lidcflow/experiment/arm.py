"""Results of an arm of an experiment: curves of its sectors, and predictions for the held-out slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import ValidationError

from lidcflow.config import TrainConfig
from lidcflow.files import write_whole
from lidcflow.learn.snapshot import Snapshot, class_counts
from lidcflow.stats.estimate import ClassCounts, Record

HELD_OUT: tuple[Literal["validation"], Literal["test"]] = ("validation", "test")
DIGITS = 6
"""Digits of a probability in the file of an arm."""


class SectorCurves(Record):
    """The training of one sector of an arm.

    Attributes
    ----------
    first_slice, last_slice : int
        From 1.
    history : dict of lists
        Loss and accuracy by epoch, see `lidcflow.learn.fitting.FittedHead`; empty after a fallback.
    best_epoch : int, optional
        Epoch, from 0, whose weights are measured.
    available : ClassCounts
        Training slices of the sector before balancing.
    asked : int, optional
        Slices of each class that an equal balance was to have, `train.cap`; none: as many as the rarest class has.
    training : ClassCounts
        Slices it was trained on.
    fallback : str
        Why the all-sector model answers for it; empty where its own does.
    """

    sector: int
    first_slice: int
    last_slice: int
    history: dict[str, list[float]]
    best_epoch: int | None
    available: ClassCounts
    asked: int | None
    training: ClassCounts
    fallback: str = ""


class Predictions(Record):
    """Predictions of an arm on a split, by series: `(series, slices)` labels, `(series, slices, 3)` P."""

    series: tuple[str, ...]
    patient_keys: tuple[str, ...]
    labels: list[list[int]]
    probabilities: list[list[list[float]]]


class ArmResult(Record):
    """An arm that is done; kept in a file, so that a rerun finds it."""

    schema_version: Literal["lidcflow.arm/1"] = "lidcflow.arm/1"
    inputs_digest: str
    series: int
    patients: int
    synthetic: bool
    sectors: tuple[SectorCurves, ...]
    held_out: dict[Literal["validation", "test"], Predictions]


@dataclass(frozen=True, eq=False)
class SectorShare:
    """The result of the task of one sector.

    Attributes
    ----------
    slices : range
        Of the sector, from 0.
    probabilities : dict of (series, slices, 3) arrays
        For each held-out split, series in order of their UIDs.
    """

    slices: range
    history: dict[str, list[float]]
    best_epoch: int
    training: ClassCounts
    probabilities: dict[str, NDArray[np.float64]]


def arm_result(
    inputs_digest: str,
    snapshot: Snapshot,
    train: TrainConfig,
    *,
    sectors: Sequence[range],
    shares: Sequence[SectorShare],
    reasons: Sequence[str],
    synthetic: bool,
) -> ArmResult:
    """Put the sectors of an arm together.

    Parameters
    ----------
    inputs_digest : str
        Of all that decides the arm.
    snapshot : Snapshot
        What it was trained on.
    train : TrainConfig
        How it was trained.
    sectors : sequence of range
        Slices of each sector, from 0.
    shares : sequence of SectorShare
        Who answers for each sector: its own model or the all-sector one.
    reasons : sequence of str
        Why a sector has no model of its own; empty where it has.
    synthetic : bool
        Whether any series is synthetic.
    """
    parts = list(zip(sectors, shares, reasons, strict=True))
    return ArmResult(
        inputs_digest=inputs_digest,
        series=snapshot.table["series_instance_uid"].nunique(),
        patients=snapshot.table["patient_key"].nunique(),
        synthetic=synthetic,
        sectors=tuple(_curves(number, *part, snapshot, train) for number, part in enumerate(parts, start=1)),
        held_out={split: _predictions(snapshot.rows(split), split, parts) for split in HELD_OUT},
    )


def find_arm(folder: Path, inputs_digest: str) -> ArmResult | None:
    """Read the arm of these inputs; one that is not there or of another version is trained again."""
    file = _file(folder, inputs_digest)
    try:
        result = ArmResult.model_validate_json(file.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
    return result if result.inputs_digest == inputs_digest else None


def save_arm(result: ArmResult, folder: Path) -> None:
    """Keep an arm, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(_file(folder, result.inputs_digest), result.model_dump_json())


def _file(folder: Path, inputs_digest: str) -> Path:
    return folder / f"{inputs_digest[:16]}.json"


def _curves(
    number: int, slices: range, share: SectorShare, reason: str, snapshot: Snapshot, train: TrainConfig
) -> SectorCurves:
    rows = snapshot.rows("train")
    available = class_counts(rows[rows["slice"].between(slices.start + 1, slices.stop)])
    return SectorCurves(
        sector=number,
        first_slice=slices.start + 1,
        last_slice=slices.stop,
        history={} if reason else share.history,
        best_epoch=None if reason else share.best_epoch,
        available=ClassCounts(non_nodule=available[0], benign=available[1], malignant=available[2]),
        asked=train.cap if train.balance == "equal" else None,
        training=share.training,
        fallback=reason,
    )


def _predictions(rows: pd.DataFrame, split: str, parts: Sequence[tuple[range, SectorShare, str]]) -> Predictions:
    series = rows.groupby("series_instance_uid", sort=True)
    labels = np.stack([of_series["label"].to_numpy() for _, of_series in series])
    probabilities = np.empty((*labels.shape, 3))
    for slices, share, _ in parts:
        start = slices.start - share.slices.start
        answered = share.probabilities[split][:, start : start + len(slices)]
        probabilities[:, slices.start : slices.stop] = answered
    return Predictions(
        series=tuple(str(uid) for uid, _ in series),
        patient_keys=tuple(series["patient_key"].first()),
        labels=labels.tolist(),
        probabilities=probabilities.round(DIGITS).tolist(),
    )
