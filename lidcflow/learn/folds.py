"""Folds of a patient-level cross-validation: a snapshot whose patients change sides from fold to fold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import pandas as pd

from lidcflow.errors import TrainingError
from lidcflow.labels.slices import CLASS_NAMES, NON_NODULE
from lidcflow.learn.snapshot import Snapshot, class_counts
from lidcflow.learn.splits import SPLITS, member_for, split_in_fold

WAY_OUT = "add series, set fewer folds or another split.seed"


def fold_snapshots(snapshot: Snapshot, folds: int, seed: int) -> Iterator[Snapshot]:
    """Yield the snapshot as each fold sees it, fold 1 first; the folds' own balance decides which slices count.

    Parameters
    ----------
    snapshot : Snapshot
        All slices.
    folds : int
        How many.
    seed : int
        Of the splits.
    """
    keys = snapshot.table["patient_key"]
    for fold in range(folds):
        split = {key: split_in_fold(key, fold, folds, seed) for key in keys.unique()}
        table = snapshot.table.assign(split=keys.map(split).astype("str"))
        yield replace(snapshot, table=table, fixed=None)


def require_folds(snapshot: Snapshot, folds: int, seed: int) -> None:
    """Make sure that every fold has what it takes to train, calibrate and test.

    Parameters
    ----------
    snapshot, folds, seed
        As for `fold_snapshots`.

    Raises
    ------
    TrainingError
        If a fold has no patient in a split, a class is absent from its training slices, or its validation slices show
        no nodule.
    """
    for number, of_fold in enumerate(fold_snapshots(snapshot, folds, seed), start=1):
        if lacking := _lacking(of_fold):
            patients = snapshot.table["patient_key"].nunique()
            raise TrainingError(f"fold {number} of {folds}: {lacking}, got {patients} patients in all; {WAY_OUT}")


def members_by_series(
    snapshot: Snapshot, split: Literal["validation", "test"], folds: int, seed: int
) -> dict[str, int]:
    """Return for each series the fold, from 0, in which its patient is in `split`; nothing without folds.

    Parameters
    ----------
    snapshot : Snapshot
        All slices.
    split : "validation" or "test"
        The models of the fold were not trained on the patient.
    folds, seed : int
        As for `fold_snapshots`; 0 folds: no cross-validation.
    """
    if not folds:
        return {}
    series = snapshot.table.drop_duplicates("series_instance_uid")
    keys = zip(series["series_instance_uid"], series["patient_key"], strict=True)
    return {str(uid): member_for(key, split, folds, seed) for uid, key in keys}


def patients_by_fold(table: pd.DataFrame, folds: int, seed: int) -> dict[str, int]:
    """Count the test patients of each fold.

    Parameters
    ----------
    table : DataFrame
        Of a snapshot.
    folds, seed : int
        As for `fold_snapshots`.
    """
    keys = table["patient_key"].unique()
    return {
        f"fold {fold + 1}": sum(split_in_fold(key, fold, folds, seed) == "test" for key in keys)
        for fold in range(folds)
    }


def _lacking(snapshot: Snapshot) -> str:
    """Return what a fold must hold and lacks; empty if it lacks nothing."""
    for split in SPLITS:
        if snapshot.rows(split).empty:
            return f"{split} must hold at least one patient"
    counts = class_counts(snapshot.rows("train"))
    for name, count in zip(CLASS_NAMES, counts, strict=True):
        if count == 0:
            return f"training must hold slices of each class and lacks {name} ones"
    if not (snapshot.rows("validation")["label"] > NON_NODULE).any():
        return "validation must hold a slice with a nodule"
    return ""
