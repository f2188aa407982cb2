"""Fit models of nodules, in the process of a worker: no other task imports what trains."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from lidcflow.config import Config
from lidcflow.learn.candidate_rows import CandidateRows
from lidcflow.learn.nodule_rows import NoduleRows
from lidcflow.learn.own_detector import OwnDetector, fit_own_detector
from lidcflow.learn.own_malignancy_examples import RatedViews
from lidcflow.learn.own_malignancy_figures import split_figures
from lidcflow.learn.own_outline_choice import choose_segmenter
from lidcflow.learn.own_outlines import judged_nodules, outlined_rows
from lidcflow.learn.own_segmenter import OwnSegmenter, fit_own_segmenter
from lidcflow.nodules.segmenter import embedded_segmenter
from lidcflow.privacy import load_secret
from lidcflow.stats.estimate import Estimate
from lidcflow.store.volumes import VolumeStore

if TYPE_CHECKING:
    from lidcflow.learn.own_malignancy import OwnMalignancy


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
    own = import_module("lidcflow.learn.own_malignancy")  # scikit-learn, which a flow's process has no use for
    train = _learning().malignancy.train_malignancy if kind in own.WITH_NETWORKS else None
    kept: OwnMalignancy = own.fit_own_malignancy(
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
    return kept


def malignancy_figures_on(kept: OwnMalignancy, views: Mapping[str, RatedViews], config: Config) -> dict[str, Estimate]:
    """Return the figures of a trained system and of the package's on the test patients; none without rated nodules."""
    if "test" not in views:
        return {}
    return split_figures(kept.model, views["test"], config.labels.malignant_at, seed=config.train.seed)


def _learning() -> Any:
    # Keras is for the workers: the flow's process, which imports this module too, stays small.
    from lidcflow.learn import own_malignancy_training, own_training, segmenter_training

    return SimpleNamespace(detector=own_training, segmenter=segmenter_training, malignancy=own_malignancy_training)
