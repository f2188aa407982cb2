"""Figures of a release's malignancy system and of the embedded one, on the nodules of one split."""

from __future__ import annotations

import numpy as np

from lidcflow.learn.malignancy_folds import MALIGNANT
from lidcflow.learn.nodule_rows import NoduleRows
from lidcflow.learn.own_malignancy_examples import Floats, RatedViews, rated_rows, read_rated_views
from lidcflow.nodules.malignancy import MalignancyModel, embedded_malignancy
from lidcflow.nodules.malignancy_system import MalignancySystem
from lidcflow.nodules.segmenter import embedded_segmenter
from lidcflow.nodules.systems import SegmenterLike
from lidcflow.stats.binary_draws import binary_calibration_draws, binary_log_loss_draws
from lidcflow.stats.bootstrap import RESAMPLES, draw_patients, estimate
from lidcflow.stats.estimate import Estimate, Record
from lidcflow.stats.malignancy_figures import DesignFigures, malignancy_figures
from lidcflow.store.volumes import VolumeStore

SIZE_ALONE = "size_mm"
"""Size as systems see it: the long axis of the outline, or else the diameter of the mask in the plane."""


class SystemFigures(Record):
    """What a system reaches.

    Attributes
    ----------
    name : str
        Of the system.
    designs : tuple of DesignFigures
        Those that have both kinds of nodules.
    log_loss, calibration_error : Estimate
        Of P(malignant), for a mean rating of the threshold and more.
    """

    name: str
    designs: tuple[DesignFigures, ...]
    log_loss: Estimate
    calibration_error: Estimate


class MalignancySplitFigures(Record):
    """What systems reach on the nodules of a split.

    Attributes
    ----------
    split : str
    nodules, malignant, patients : int
        Those with ratings.
    unrated : int
        Nodules that nobody rated, which are left out.
    systems : tuple of SystemFigures
        That of the release first, then the embedded one where it is another.
    """

    split: str
    nodules: int
    malignant: int
    patients: int
    unrated: int
    systems: tuple[SystemFigures, ...]


def figures_on(
    model: MalignancySystem | MalignancyModel,
    rows: NoduleRows,
    store: VolumeStore,
    split: str,
    *,
    malignant_at: float = MALIGNANT,
    segmenter: SegmenterLike | None = None,
    seed: int = 0,
) -> MalignancySplitFigures | None:
    """Measure a system and the embedded one on the rated nodules of a split.

    Parameters
    ----------
    model : MalignancySystem or MalignancyModel
        That of the release.
    rows : NoduleRows
    store : VolumeStore
        Where the cubes are.
    split : str
        ``test``, or another.
    malignant_at : float
        Mean rating from which a nodule counts as malignant.
    segmenter : SegmenterLike, optional
        What outlines nodules; by default the embedded segmenter.
    seed : int
        Of the bootstrap.

    Returns
    -------
    MalignancySplitFigures, or None
        None where the split has no rated nodules.

    Raises
    ------
    TrainingError
        If the candidates of a series have changed since their nodules were found.
    """
    table = rows.of_split(split)
    rated = rated_rows(table)
    if rated.empty:
        return None
    nodules = read_rated_views(rated, store, segmenter or embedded_segmenter())
    systems = [model] if model.sha256 == embedded_malignancy().sha256 else [model, embedded_malignancy()]
    return MalignancySplitFigures(
        split=split,
        nodules=len(rated),
        malignant=int((nodules.rating >= malignant_at).sum()),
        patients=len(np.unique(nodules.patient)),
        unrated=len(table) - len(rated),
        systems=tuple(_figures(one, nodules, malignant_at, seed) for one in systems),
    )


def _figures(
    model: MalignancySystem | MalignancyModel, nodules: RatedViews, malignant_at: float, seed: int
) -> SystemFigures:
    probability: Floats = model.probabilities(nodules.views)
    names, number = np.unique(nodules.patient, return_inverse=True)
    draws = draw_patients(len(names), seed=seed, resamples=RESAMPLES)
    of = probability, nodules.rating >= malignant_at, number, draws
    sizes = {SIZE_ALONE: nodules.views.size_mm}
    return SystemFigures(
        name=model.name,
        designs=malignancy_figures(probability, nodules.rating, nodules.patient, sizes, seed=seed),
        log_loss=estimate(binary_log_loss_draws(*of)),
        calibration_error=estimate(binary_calibration_draws(*of)),
    )
