"""A snapshot fixed for one training: all that decides its numbers, in one file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow.parquet
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from lidcflow.config import LabelConfig, PreprocessConfig, SplitConfig, TrainConfig
from lidcflow.config.science import portable
from lidcflow.errors import TrainingError
from lidcflow.files import whole_file
from lidcflow.labels.slices import NoduleSlices
from lidcflow.learn.digest import rows_digest
from lidcflow.learn.snapshot import COLUMNS, Snapshot, ordered_rows, read_table, sector_rows, snapshot_in, weight_column
from lidcflow.stats.estimate import MarkFacts, Record
from lidcflow.volume.sectors import sector_of, sector_slices

CLASSES = 3
MOST_WEIGHT = 10.0
"""Cap on the weight of a rare class over the most common one: a handful of slices must not outshout hundreds."""


FIXED = {"sector": "int16", "weight": "float64", "weight_all_sectors": "float64"}

ID_LENGTH = 12
"""Digits of the digest that name a file and that people type."""

Nodules = Mapping[str, Sequence[NoduleSlices]]


def class_weights(labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Weigh classes by their rarity, at most `MOST_WEIGHT` times the most common one.

    Parameters
    ----------
    labels : (n,) array of int
        Classes 0 to 2 of the training set, each present.

    Returns
    -------
    (3,) array
        Weights whose mean over `labels` is 1.

    Examples
    --------
    >>> class_weights(np.array([0, 0, 1, 2])).tolist()
    [0.6666666666666666, 1.3333333333333333, 1.3333333333333333]
    """
    counts = np.bincount(labels, minlength=CLASSES)
    weights = np.minimum(counts.max() / counts, MOST_WEIGHT)
    return np.asarray(weights * counts.sum() / (weights * counts).sum())


class CandidateFacts(Record):
    """Which nodule candidates a training found beside its volumes.

    Parameters
    ----------
    version : int
        Schema version of the candidates.
    series : int
        Series that have some.
    digest : str
        SHA-256 of the version and of the SeriesInstanceUIDs of these series; volumes and version decide the rest.
    """

    version: int
    series: int
    digest: str


def _is_absent(value: object) -> bool:
    return value is None


class TrainingSettings(Record):
    """Settings of a training besides its slices; they are independent of the machine."""

    schema_version: Literal["lidcflow.snapshot/1"] = "lidcflow.snapshot/1"
    created: datetime
    lidcflow_version: str
    preprocess: PreprocessConfig
    preprocess_digest: str
    labels: LabelConfig
    split: SplitConfig
    train: TrainConfig
    backbone_id: str
    synthetic: bool
    candidates: CandidateFacts | None = Field(None, exclude_if=_is_absent)
    marks: MarkFacts | None = Field(None, exclude_if=_is_absent)


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """A snapshot with the sector of each slice and the weight at which training counts it.

    Attributes
    ----------
    snapshot : Snapshot
        The slices. Its `fixed` has, for each row, ``sector`` (from 1), ``weight`` (in the model of that sector) and
        ``weight_all_sectors`` (in the model of the whole chest). A weight of 0 is left out: by balancing, because it
        is held out, or because the sector lacks a class and trains no model.
    settings : TrainingSettings
        What the training is made with.
    nodules : dict
        By SeriesInstanceUID, the nodules of the held-out series that have any.
    digest : str
        SHA-256 of all of it but the date and the version of lidcflow, 64 hexadecimal digits.
    """

    snapshot: Snapshot
    settings: TrainingSettings
    nodules: Nodules
    digest: str

    @property
    def id(self) -> str:
        """Leading digits of the digest: what people type."""
        return self.digest[:ID_LENGTH]

    def save(self, file: Path) -> None:
        """Write it as Parquet, whole or not at all; `Snapshot.load` reads its slices from the same file."""
        table = _table(self.snapshot)
        table.attrs = {
            "digest": self.snapshot.digest,
            "training": {
                "digest": self.digest,
                "settings": self.settings.model_dump(mode="json"),
                "nodules": _plain(self.nodules),
            },
        }
        with whole_file(file) as draft:
            table.to_parquet(draft, index=False)

    @classmethod
    def load(cls, file: Path) -> TrainingSet:
        """Read a training set and check it again.

        Raises
        ------
        TrainingError
            If there is no such file, it is no snapshot of a training, or not as it was saved.
        """
        rows, beside = read_table(file)
        table = ordered_rows(rows)
        snapshot = snapshot_in(table, beside, file)
        try:
            found = beside["training"]
            settings, nodules = TrainingSettings.model_validate(found["settings"]), _nodules(found["nodules"])
            fixed = replace(snapshot, fixed=table[list(FIXED)].astype(FIXED))
        except (KeyError, TypeError, ValueError, ValidationError):
            raise TrainingError(
                f"snapshot {file.name}: must hold sectors, weights and settings of a training, got none that can be "
                "read; choose one of `lidcflow snapshots`"
            ) from None
        if (digest := _digest(fixed, settings, nodules)) != found.get("digest"):
            raise TrainingError(
                f"snapshot {file.name}: must be as it was saved, got digest {digest[:ID_LENGTH]} instead of "
                f"{str(found.get('digest'))[:ID_LENGTH]}; choose another one of `lidcflow snapshots`"
            )
        return cls(fixed, settings, nodules, digest)

    def require_same_weights(self) -> None:
        """Make sure that this version of lidcflow trains with the weights of the file.

        Raises
        ------
        TrainingError
            If it would give the slices other weights.
        """
        fixed = self.snapshot.fixed
        if fixed is None or not fixed.equals(_fixed(self.snapshot, self.settings.train)):
            raise TrainingError(
                f"snapshot {self.id}: the weights of its slices must be those of the file, but this version of "
                f"lidcflow computes others; train with lidcflow {self.settings.lidcflow_version}, or without --snapshot"
            )


def fix_training_set(snapshot: Snapshot, settings: TrainingSettings, nodules: Nodules) -> TrainingSet:
    """Decide for every slice whether and how much it counts in the training that `settings` describe.

    Parameters
    ----------
    snapshot : Snapshot
        All slices.
    settings : TrainingSettings
        Paths in it are left out.
    nodules : mapping
        Nodules of the held-out series, by SeriesInstanceUID.
    """
    own = settings.model_copy(update={"train": portable(settings.train), "labels": settings.labels.portable})
    fixed = replace(snapshot, fixed=_fixed(snapshot, own.train))
    found = {uid: tuple(of_series) for uid, of_series in nodules.items() if of_series}
    return TrainingSet(fixed, own, found, _digest(fixed, own, found))


def read_settings(file: Path) -> tuple[str, TrainingSettings] | None:
    """Read digest and settings of a file without its rows; None where it is no snapshot of a training."""
    try:
        metadata = pyarrow.parquet.read_schema(file).pandas_metadata
        found = metadata["attributes"]["training"]
        return str(found["digest"]), TrainingSettings.model_validate(found["settings"])
    except (OSError, KeyError, TypeError, ValueError):
        return None


def _fixed(snapshot: Snapshot, train: TrainConfig) -> pd.DataFrame:
    """Sector and weights of every row; a fixed snapshot keeps the rows that it counts."""
    snapshot = _without_names(snapshot)
    slices = int(snapshot.table["slice"].max())
    sector = sector_of(slices, train.sector_num)[snapshot.table["slice"].to_numpy() - 1]
    fixed = pd.DataFrame({"sector": sector, "weight": 0.0, "weight_all_sectors": 0.0}).astype(FIXED)
    own = list(enumerate(sector_slices(slices, train.sector_num), start=1))
    for number, inside in [*own, (1, range(slices))]:
        rows = sector_rows(snapshot, inside, train.balance, train.cap, train.seed + number)
        rows = rows[rows["split"] == "train"]
        fixed.loc[rows.index, weight_column(snapshot, inside)] = _weights(rows["label"].to_numpy())
    if train.sector_num == 1:
        fixed["weight"] = fixed["weight_all_sectors"]
    return fixed


def _without_names(snapshot: Snapshot) -> Snapshot:
    """Return the columns that weights depend on: rows are copied for each sector, and names are most of a row."""
    return replace(snapshot, table=snapshot.table[["slice", "label", "split"]].astype({"split": "category"}))


def _weights(labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Weight of each slice, 0 where a class is absent."""
    if np.bincount(labels, minlength=CLASSES).min() == 0:
        return np.zeros(len(labels))
    weights: NDArray[np.float64] = class_weights(labels)[labels]
    return weights


def _table(snapshot: Snapshot) -> pd.DataFrame:
    table = pd.concat([snapshot.table, snapshot.fixed], axis=1)
    return table[[*COLUMNS, *FIXED]]


def _digest(snapshot: Snapshot, settings: TrainingSettings, nodules: Nodules) -> str:
    told = settings.model_dump(mode="json", exclude={"created", "lidcflow_version"})
    if not settings.labels.marks:  # as before there were marks
        del told["labels"]["marks"]
    if settings.train.folds is None:  # as before there were folds: snapshots of that time keep their digests
        del told["train"]["folds"]
    if settings.train.images is None:
        del told["train"]["images"]
    text = json.dumps({"settings": told, "nodules": _plain(nodules)}, sort_keys=True)
    return rows_digest(_table(snapshot), before=f"{text}\n")


def _plain(nodules: Nodules) -> dict[str, Any]:
    return {uid: [[one.label, sorted(one.slices)] for one in of_series] for uid, of_series in sorted(nodules.items())}


def _nodules(plain: dict[str, Any]) -> Nodules:
    return {
        uid: tuple(NoduleSlices(frozenset(slices), label) for label, slices in of_series)
        for uid, of_series in plain.items()
    }
