"""Train the model of one sector, calibrate it, measure it, and keep it as files.

Importing this module imports Keras.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import ValidationError

from lidcflow.config import TrainConfig
from lidcflow.errors import ReleaseError
from lidcflow.files import digest_of_folder, whole_folder
from lidcflow.learn.features import FeatureReader, FeatureSource
from lidcflow.learn.finetune import finetune
from lidcflow.learn.fitting import FittedHead, fit_head
from lidcflow.learn.heads import calibrated_model
from lidcflow.learn.maps import StoredMaps
from lidcflow.learn.network_file import load_network
from lidcflow.learn.predict import outputs_of
from lidcflow.learn.snapshot import Snapshot, class_counts, sector_rows
from lidcflow.learn.splits import SPLITS, Split
from lidcflow.stats.calibration import Calibration, fit_calibration, prior_offsets
from lidcflow.stats.estimate import ClassCounts, Estimate, Record
from lidcflow.stats.held_out import sector_figures
from lidcflow.stats.metrics import confusion

FACTS, MODEL, ROWS = "sector.json", "model.keras", "validation.parquet"

DIGEST = "sha256"
"""File with the digest of the others: a sector that was damaged on the disk is trained again."""


class SliceSet(Protocol):
    """Slices of one split of a sector."""

    @property
    def labels(self) -> NDArray[np.integer]:
        """Class of each slice, 0 to 2."""

    def outputs(self, model: Any) -> NDArray[np.float32]:
        """Apply a model to each slice."""


@dataclass(frozen=True, eq=False)
class Features:
    """Slices whose features are in memory: (n, d) array, and (n,) classes."""

    x: NDArray[np.float32]
    labels: NDArray[np.integer]

    def outputs(self, model: Any) -> NDArray[np.float32]:
        """Apply a model to each slice."""
        return outputs_of(model, self.x)


@dataclass(frozen=True, eq=False)
class TrainedSector:
    """A calibrated sector model and how it came about.

    Attributes
    ----------
    model : keras.Model
        (n, d) features, or (n, rows, columns, channels) maps, -> (n, 3) calibrated probabilities.
    history : dict of lists
        Loss and accuracy of each epoch.
    best_epoch : int
        Epoch, from 0, whose weights the model holds.
    remark : str
        What came of finetuning, in a sentence; empty while the backbone is frozen.
    training : ClassCounts
        Slices it was trained on, after balancing.
    validation, test : dict of Estimate
        Figures at natural prevalence.
    validation_rows : DataFrame
        Rows of the snapshot, with the column ``p_nodule``.
    validation_confusion : (3, 3) array of int64
        True classes by called ones.
    """

    model: Any
    calibration: Calibration
    history: dict[str, list[float]]
    best_epoch: int
    remark: str
    training: ClassCounts
    validation: dict[str, Estimate]
    test: dict[str, Estimate]
    validation_rows: pd.DataFrame
    validation_confusion: NDArray[np.int64]


def train_sector(
    snapshot: Snapshot,
    slices: range,
    source: FeatureSource,
    config: TrainConfig,
    seed: int,
    *,
    watch_test: bool = False,
) -> TrainedSector:
    """Train a model on the balanced training slices of a sector and calibrate it on its validation slices.

    Parameters
    ----------
    snapshot : Snapshot
        All slices.
    slices : range
        Slices of the sector, from 0.
    source : FeatureSource
        Reads the features of a series.
    config : TrainConfig
        Mode, balance, head, epochs.
    seed : int
        Same seed and snapshot, same model.
    watch_test : bool
        Whether the history gets curves of the test slices too; they steer nothing.

    Raises
    ------
    TrainingError
        If a class is absent from the training slices.
    """
    rows = sector_rows(snapshot, slices, config.balance, config.cap, seed)
    sets, head = _FITS[config.mode](rows, source, config, seed, watch_test)
    calibration = _calibrate(head, sets, _natural_counts(snapshot, slices))
    model = calibrated_model(head.model, calibration)
    p_validation, p_test = (sets[split].outputs(model) for split in ("validation", "test"))
    return TrainedSector(
        model=model,
        calibration=calibration,
        history=head.history,
        best_epoch=head.best_epoch,
        remark=head.remark,
        training=ClassCounts.of(sets["train"].labels),
        validation=sector_figures(p_validation, sets["validation"].labels),
        test=sector_figures(p_test, sets["test"].labels),
        validation_rows=rows[rows["split"] == "validation"].assign(p_nodule=p_validation[:, 1:].sum(axis=1)),
        validation_confusion=confusion(p_validation, sets["validation"].labels),
    )


Sets = Mapping[Split, SliceSet]


def _fit_on_frozen(
    rows: pd.DataFrame, source: FeatureSource, config: TrainConfig, seed: int, watch_test: bool
) -> tuple[Sets, FittedHead]:
    """Fit a head on features, which are few enough to hold."""
    features, labels, splits = features_of_rows(rows, source.read), rows["label"].to_numpy(), rows["split"].to_numpy()
    sets = {split: Features(features[splits == split], labels[splits == split]) for split in SPLITS}
    training, validation, test = (sets[split] for split in SPLITS)
    watched = (test.x, test.labels) if watch_test else None
    head = fit_head(training.x, training.labels, validation.x, validation.labels, config, seed, watched=watched)
    return sets, head


def _fit_from_block(
    rows: pd.DataFrame, source: FeatureSource, config: TrainConfig, seed: int, watch_test: bool
) -> tuple[Sets, FittedHead]:
    """Finetune on activation maps, which stay in the store."""
    of_split = {split: rows[rows["split"] == split] for split in SPLITS}
    views = {"train": source.views}
    sets = {split: StoredMaps(of_split[split], source.read, views.get(split, ())) for split in SPLITS}
    held_out = {"val": sets["validation"], **({"test": sets["test"]} if watch_test else {})}
    return sets, finetune(sets["train"], held_out, config, size=source.size, seed=seed)


_FITS = {"frozen": _fit_on_frozen, "finetune": _fit_from_block}


def features_of_rows(rows: pd.DataFrame, features_of: FeatureReader) -> NDArray[np.float32]:
    """Return the features of rows, in their order.

    Parameters
    ----------
    rows : DataFrame
        With columns ``series_instance_uid`` and ``slice`` (from 1).
    features_of : callable
        Called once for each series.
    """
    parts: list[NDArray[np.float32]] = []
    positions: list[NDArray[np.int64]] = []
    for uid, of_series in rows.reset_index(drop=True).groupby("series_instance_uid", sort=False):
        parts.append(features_of(str(uid))[of_series["slice"].to_numpy() - 1].astype(np.float32))
        positions.append(of_series.index.to_numpy())
    gathered = np.concatenate(parts)
    gathered[np.concatenate(positions)] = gathered.copy()
    return gathered


def _natural_counts(snapshot: Snapshot, slices: range) -> tuple[int, int, int]:
    rows = snapshot.rows("train")
    return class_counts(rows[rows["slice"].between(slices.start + 1, slices.stop)])


def _calibrate(head: FittedHead, sets: Sets, natural: tuple[int, int, int]) -> Calibration:
    """Fit the calibration from where the class weights and the balancing left the head."""
    learned_at = [float(share) * len(sets["train"].labels) for share in head.class_shares]
    validation = sets["validation"]
    return fit_calibration(validation.outputs(head.model), validation.labels, prior_offsets(learned_at, natural))


class SectorFacts(Record):
    """Facts kept of a trained sector beside its model and its validation rows."""

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
    with whole_folder(folder) as draft:
        trained.model.save(draft / MODEL)
        trained.validation_rows.to_parquet(draft / ROWS)
        (draft / FACTS).write_text(_facts(trained).model_dump_json(), encoding="utf-8")
        (draft / DIGEST).write_text(digest_of_folder(draft), encoding="utf-8")


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
