"""Fit the model of a sector, in the process of a worker; what trains models of nodules is not imported here."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from lidcflow.config import Config
from lidcflow.learn.features import FeatureSource
from lidcflow.learn.folds import fold_snapshots
from lidcflow.learn.snapshot import Snapshot
from lidcflow.volume.sectors import sector_slices
from tasks.sector import SectorJob

if TYPE_CHECKING:
    from lidcflow.learn.train import TrainedSector


def slices_of(job: SectorJob, slices: int) -> range:
    """Return those of a volume's slices that a job's sector holds, from 0."""
    return sector_slices(slices, job.sector_num)[job.sector - 1]


def fit_sector(
    job: SectorJob,
    snapshot: Snapshot,
    source: FeatureSource,
    config: Config,
    *,
    folder: Path | None = None,
    watch_test: bool = False,
) -> TrainedSector:
    """Train the model of a sector, or return the one that an earlier attempt has kept.

    Parameters
    ----------
    job : SectorJob
        The sector; its seed is the configured one plus its number.
    snapshot : Snapshot
        All slices.
    source : FeatureSource
        Reads the features of a series.
    config : Config
        How many slices there are, and how to train.
    folder : Path, optional
        Where the model is kept; by default it is not.
    watch_test : bool
        Whether the history gets curves of the test slices too; they steer nothing.

    Raises
    ------
    TrainingError
        If a class is absent from the training slices.
    """
    learn = import_module("lidcflow.learn.train")  # Keras
    kept: TrainedSector | None = learn.find_sector(folder) if folder else None
    if kept:
        return kept
    seed = config.train.seed + job.sector
    slices = slices_of(job, config.preprocess.slices)
    trained: TrainedSector = learn.train_sector(snapshot, slices, source, config.train, seed, watch_test=watch_test)
    if folder:
        learn.keep_sector(trained, folder)
    return trained


def fit_folds(
    job: SectorJob, snapshot: Snapshot, source: FeatureSource, config: Config, *, folder: Path | None = None
) -> TrainedSector:
    """Train the model of a sector in every fold and join them, or return what an earlier attempt has kept.

    Parameters
    ----------
    job, snapshot, source, config
        As for `fit_sector`; `config.train.folds` names the folds.
    folder : Path, optional
        Where the ensemble is kept, and its members beside it; by default they are not.

    Raises
    ------
    TrainingError
        If a class is absent from the training slices of a fold.
    """
    learn = import_module("lidcflow.learn.train")  # Keras
    kept: TrainedSector | None = learn.find_sector(folder) if folder else None
    if kept:
        return kept
    snapshots = list(fold_snapshots(snapshot, config.train.folds or 0, config.split.seed))
    places = [folder and folder.with_name(f"{folder.name}-fold-{n}") for n in range(1, len(snapshots) + 1)]
    members = [
        fit_sector(job, of_fold, source, config, folder=place) for of_fold, place in zip(snapshots, places, strict=True)
    ]
    slices, seed = slices_of(job, config.preprocess.slices), config.train.seed + job.sector
    joined: TrainedSector = import_module("lidcflow.learn.fold_training").join_folds(
        members, snapshots, slices, source.read, config.train, seed
    )
    if folder:
        learn.keep_sector(joined, folder)
    return joined
