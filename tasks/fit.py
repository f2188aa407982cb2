"""Fit sector models and models of nodules, in the process of a worker: no other task imports what trains."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from lidcflow.config import Config
from lidcflow.learn.candidate_rows import CandidateRows
from lidcflow.learn.features import FeatureSource
from lidcflow.learn.folds import fold_snapshots
from lidcflow.learn.nodule_rows import NoduleRows
from lidcflow.learn.own_detector import OwnDetector, fit_own_detector
from lidcflow.learn.own_malignancy import WITH_NETWORKS, OwnMalignancy, fit_own_malignancy
from lidcflow.learn.own_malignancy_examples import RatedViews
from lidcflow.learn.own_malignancy_figures import split_figures
from lidcflow.learn.own_outline_choice import choose_segmenter
from lidcflow.learn.own_outlines import judged_nodules, outlined_rows
from lidcflow.learn.own_segmenter import OwnSegmenter, fit_own_segmenter
from lidcflow.learn.snapshot import Snapshot
from lidcflow.nodules.segmenter import embedded_segmenter
from lidcflow.privacy import load_secret
from lidcflow.stats.estimate import Estimate
from lidcflow.store.volumes import VolumeStore
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
    learn = _learning().sector
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
    learn = _learning()
    kept: TrainedSector | None = learn.sector.find_sector(folder) if folder else None
    if kept:
        return kept
    snapshots = list(fold_snapshots(snapshot, config.train.folds or 0, config.split.seed))
    places = [folder and folder.with_name(f"{folder.name}-fold-{n}") for n in range(1, len(snapshots) + 1)]
    members = [
        fit_sector(job, of_fold, source, config, folder=place) for of_fold, place in zip(snapshots, places, strict=True)
    ]
    slices, seed = slices_of(job, config.preprocess.slices), config.train.seed + job.sector
    joined: TrainedSector = learn.folds.join_folds(members, snapshots, slices, source.read, config.train, seed)
    if folder:
        learn.sector.keep_sector(joined, folder)
    return joined


def fit_detector(rows: CandidateRows, config: Config, folder: Path) -> OwnDetector:
    """Train the detector of a training, or return the one that an earlier attempt has kept.

    Parameters
    ----------
    rows : CandidateRows
        Candidates with what readers say of them; enough of both kinds.
    config : Config
        Where the patches are, and how to train.
    folder : Path
        Where the detector is kept.

    Raises
    ------
    TrainingError
        If the candidates of a series have changed since they were judged.
    """
    own, store, settings = _learning().detector, VolumeStore.of(config), config.nodules
    return fit_own_detector(rows, store, folder, own.train_multi_view, steps=settings.steps, seed=config.train.seed)


def fit_segmenter(rows: NoduleRows, config: Config, folder: Path) -> OwnSegmenter:
    """Train the segmenter of a training, or return the one that an earlier attempt has kept.

    Parameters
    ----------
    rows : NoduleRows
        With enough outlines.
    config : Config
        Where the cubes are, and how to train.
    folder : Path
        Where the segmenter is kept.

    Raises
    ------
    TrainingError
        If the candidates of a series have changed since its nodules were found.
    """
    steps, seed, train = config.nodules.steps, config.train.seed, _learning().segmenter.train_own_segmenter
    return fit_own_segmenter(rows, VolumeStore.of(config), folder, train, steps=steps, seed=seed)


def segmenter_figures(kept: OwnSegmenter, rows: NoduleRows, config: Config) -> dict[str, Estimate]:
    """Return the figures of a trained segmenter and of the package's on the test patients; none without outlines."""
    test = outlined_rows(rows, "test")
    if test.empty:
        return {}
    nodules = judged_nodules(test, rows, VolumeStore.of(config))
    return choose_segmenter(kept.segmenter, embedded_segmenter(), nodules, seed=config.train.seed).figures


def fit_malignancy(kind: str, views: Mapping[str, RatedViews], config: Config, folder: Path) -> OwnMalignancy:
    """Train a malignancy system, or return the one that an earlier attempt has kept.

    Parameters
    ----------
    kind : str
        One of `lidcflow.learn.own_malignancy_choice.PINNED`.
    views : mapping of str to RatedViews
        Of training and validation patients, with enough nodules of each class.
    config : Config
        How to train.
    folder : Path
        Where the system is kept.
    """
    train = _learning().malignancy.train_malignancy if kind in WITH_NETWORKS else None
    return fit_own_malignancy(
        kind,
        views["train"],
        views["validation"],
        folder,
        train,
        steps=config.nodules.steps,
        seed=config.train.seed,
        malignant_at=config.labels.malignant_at,
        secret=load_secret(config.patient_key, config.workspace),
    )


def malignancy_figures_on(kept: OwnMalignancy, views: Mapping[str, RatedViews], config: Config) -> dict[str, Estimate]:
    """Return the figures of a trained system and of the package's on the test patients; none without rated nodules."""
    if "test" not in views:
        return {}
    return split_figures(kept.model, views["test"], config.labels.malignant_at, seed=config.train.seed)


def _learning() -> Any:
    # Keras is for the workers: the flow's process, which imports this module too, stays small.
    from lidcflow.learn import fold_training, own_malignancy_training, own_training, segmenter_training, train

    return SimpleNamespace(
        sector=train,
        folds=fold_training,
        detector=own_training,
        segmenter=segmenter_training,
        malignancy=own_malignancy_training,
    )
