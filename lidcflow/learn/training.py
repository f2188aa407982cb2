"""Train the model of one sector: balance, fit the head, calibrate it, measure it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lidcflow.config import TrainConfig
from lidcflow.learn.calibration import Calibration, fit_calibration, prior_offsets
from lidcflow.learn.dataset import Snapshot, class_counts, sector_rows
from lidcflow.learn.evaluation import slice_figures
from lidcflow.learn.heads import FittedHead, calibrated_model, fit_head
from lidcflow.learn.metrics import confusion
from lidcflow.learn.predict import outputs_of
from lidcflow.learn.release import ClassCounts, Estimate
from lidcflow.learn.splits import SPLITS

FeatureReader = Callable[[str], NDArray[np.float16]]
"""From a SeriesInstanceUID to its `(slices, d)` features."""


@dataclass(frozen=True, eq=False)
class TrainedSector:
    """A calibrated sector model and how it came about.

    Attributes
    ----------
    model : keras.Model
        (n, d) features -> (n, 3) calibrated probabilities.
    history : dict of lists
        Loss and accuracy of each epoch.
    best_epoch : int
        Epoch, from 0, whose weights the model holds.
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
    training: ClassCounts
    validation: dict[str, Estimate]
    test: dict[str, Estimate]
    validation_rows: pd.DataFrame
    validation_confusion: NDArray[np.int64]


def train_sector(
    snapshot: Snapshot,
    slices: range,
    features_of: FeatureReader,
    config: TrainConfig,
    seed: int,
    *,
    watch_test: bool = False,
) -> TrainedSector:
    """Train a head on the balanced training slices of a sector and calibrate it on its validation slices.

    Parameters
    ----------
    snapshot : Snapshot
        All slices.
    slices : range
        Slices of the sector, from 0.
    features_of : callable
        Reads the features of a series.
    config : TrainConfig
        Balance, head, epochs.
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
    sets = _sets(rows, gather(rows, features_of))
    watched = sets["test"] if watch_test else None
    head = fit_head(*sets["train"], *sets["validation"], config, seed, watched=watched)
    calibration = _calibrate(head, sets, _natural_counts(snapshot, slices))
    model = calibrated_model(head.model, calibration)
    p_validation, p_test = (outputs_of(model, sets[split][0]) for split in ("validation", "test"))
    return TrainedSector(
        model=model,
        calibration=calibration,
        history=head.history,
        best_epoch=head.best_epoch,
        training=ClassCounts.of(sets["train"][1]),
        validation=slice_figures(p_validation, sets["validation"][1]),
        test=slice_figures(p_test, sets["test"][1]),
        validation_rows=rows[rows["split"] == "validation"].assign(p_nodule=p_validation[:, 1:].sum(axis=1)),
        validation_confusion=confusion(p_validation, sets["validation"][1]),
    )


def gather(rows: pd.DataFrame, features_of: FeatureReader) -> NDArray[np.float32]:
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


def _sets(rows: pd.DataFrame, features: NDArray[np.float32]) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    labels, splits = rows["label"].to_numpy(), rows["split"].to_numpy()
    return {split: (features[splits == split], labels[splits == split]) for split in SPLITS}


def _natural_counts(snapshot: Snapshot, slices: range) -> tuple[int, int, int]:
    rows = snapshot.rows("train")
    return class_counts(rows[rows["slice"].between(slices.start + 1, slices.stop)])


def _calibrate(
    head: FittedHead, sets: dict[str, tuple[NDArray[Any], NDArray[Any]]], natural: tuple[int, int, int]
) -> Calibration:
    """Fit the calibration from where the class weights and the balancing left the head."""
    x, y = sets["validation"]
    learned_at = [float(share) * len(sets["train"][1]) for share in head.class_shares]
    return fit_calibration(outputs_of(head.model, x), y, prior_offsets(learned_at, natural))
