"""Join the models of a sector's folds: average their probabilities, measured on the patients that each did not see.

Importing this module imports Keras.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lidcflow.config import TrainConfig
from lidcflow.learn.features import FeatureReader
from lidcflow.learn.heads import averaged_model
from lidcflow.learn.predict import outputs_of
from lidcflow.learn.snapshot import Snapshot, sector_rows
from lidcflow.learn.train import TrainedSector, features_of_rows
from lidcflow.stats.calibration import Calibration
from lidcflow.stats.estimate import ClassCounts
from lidcflow.stats.held_out import sector_figures
from lidcflow.stats.metrics import confusion

AS_IT_IS = Calibration(1.0, (0.0, 0.0, 0.0))
"""Members are calibrated, each on its own validation patients; their mean gets no calibration of its own."""


def join_folds(
    members: Sequence[TrainedSector],
    snapshots: Sequence[Snapshot],
    slices: range,
    read: FeatureReader,
    config: TrainConfig,
    seed: int,
) -> TrainedSector:
    """Return the ensemble of a sector, with the figures of its members on their own held-out patients together.

    Parameters
    ----------
    members : sequence of TrainedSector
        The model of each fold.
    snapshots : sequence of Snapshot
        What each was trained on, from `lidcflow.learn.folds.fold_snapshots`.
    slices : range
        Slices of the sector, from 0.
    read : callable
        Reads the features of a series.
    config : TrainConfig
        How the members were trained.
    seed : int
        Of the sector.
    """
    rows = [sector_rows(of_fold, slices, config.balance, config.cap, seed) for of_fold in snapshots]
    validation, p_validation = _answers(members, rows, "validation", read)
    test, p_test = _answers(members, rows, "test", read)
    trained = pd.concat([of_fold[of_fold["split"] == "train"] for of_fold in rows])
    return TrainedSector(
        model=averaged_model([one.model for one in members]),
        calibration=AS_IT_IS,
        history=mean_history([one.history for one in members]),
        best_epoch=round(float(np.median([one.best_epoch for one in members]))),
        remark="",
        training=ClassCounts.of(trained[~trained.index.duplicated()]["label"].to_numpy()),
        validation=sector_figures(p_validation, validation["label"].to_numpy()),
        test=sector_figures(p_test, test["label"].to_numpy()),
        validation_rows=validation.assign(p_nodule=p_validation[:, 1:].sum(axis=1)),
        validation_confusion=confusion(p_validation, validation["label"].to_numpy()),
    )


def mean_history(histories: Sequence[dict[str, list[float]]]) -> dict[str, list[float]]:
    """Average curves epoch by epoch, over the folds that came so far.

    Examples
    --------
    >>> mean_history([{"loss": [3.0, 2.0]}, {"loss": [1.0]}])
    {'loss': [2.0, 2.0]}
    """
    return {
        name: [float(np.mean([one for one in epoch if one is not None])) for epoch in zip_longest(*curves)]
        for name in histories[0]
        for curves in [[history[name] for history in histories]]
    }


def _answers(
    members: Sequence[TrainedSector], rows: Sequence[pd.DataFrame], split: str, read: FeatureReader
) -> tuple[pd.DataFrame, NDArray[np.float32]]:
    """Return the rows that are in `split` in some fold, and what that fold's model says of them."""
    held_out = [of_fold[of_fold["split"] == split] for of_fold in rows]
    answers = [
        outputs_of(member.model, features_of_rows(of_fold, read))
        for member, of_fold in zip(members, held_out, strict=True)
    ]
    return pd.concat(held_out), np.concatenate(answers)
