"""Run an experiment on rated nodules: figures of each system in each design, beside size alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lidcflow.config.science import MALIGNANT_AT
from lidcflow.experiment.published import NODULE_EXPERIMENTS, NoduleExperiment, Published
from lidcflow.learn.rated_nodules import (
    Learn,
    Progress,
    RatedNodules,
    cross_validate,
    lacking_designs,
    read_rated_nodules,
)
from lidcflow.stats.estimate import Estimate, Record
from lidcflow.stats.malignancy_figures import DESIGNS, DesignFigures, auroc_above, chosen_for, figures_in_design

Floats = NDArray[np.float64]
Designs = Mapping[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]]
Validate = Callable[[Designs], dict[str, dict[str, Floats]]]


class SystemFigures(Record):
    """Figures of a system.

    Attributes
    ----------
    system : str
    figures : tuple of DesignFigures
        One for each design.
    above_reference : dict of str to Estimate
        By design, the AUROC less that of the experiment's first system, paired over patients; empty for that system.
    """

    system: str
    figures: tuple[DesignFigures, ...]
    above_reference: dict[str, Estimate]


class NoduleComparison(Record):
    """Results of an experiment on rated nodules.

    Attributes
    ----------
    experiment, question : str
    data : str
        Name of the folder of the nodules.
    nodules, patients, unrated, folds : int
        Nodules with ratings, their patients, nodules without ratings, which were left out, and folds.
    systems : tuple of SystemFigures
        The reference first.
    published : tuple of Published
    differs : tuple of str
        What differs from the publications, a sentence each.
    left_out : tuple of str
        Why designs were left out.
    seconds : float
    """

    experiment: str
    question: str
    data: str
    nodules: int
    patients: int
    unrated: int
    folds: int
    systems: tuple[SystemFigures, ...]
    published: tuple[Published, ...]
    differs: tuple[str, ...]
    left_out: tuple[str, ...]
    seconds: float
    notice: str = "Research use only."


def run_nodule_experiment(
    name: str,
    data: Path,
    learn: Learn,
    *,
    folds: int | None = None,
    seed: int = 0,
    on_progress: Progress = lambda _stage, _done, _total: None,
) -> NoduleComparison:
    """Cross-validate the systems of an experiment by patient and measure them.

    Parameters
    ----------
    name : str
        One of `lidcflow.experiment.published.NODULE_EXPERIMENTS`.
    data : Path
        Folder with ``nodule-slices``.
    learn : callable
        Of that experiment.
    folds : int, optional
        Default: the experiment's.
    seed : int
        Of folds, systems and bootstrap.
    on_progress : callable, optional

    Raises
    ------
    LabelError
        If the set is missing or damaged.
    TrainingError
        If every design has fewer than 30 nodules of a kind; one that has is left out and noted.
    """
    started_s, experiment = time.monotonic(), NODULE_EXPERIMENTS[name]
    nodules, folds = read_rated_nodules(data), folds or experiment.folds
    lacking = lacking_designs(rating := nodules.sets.rating)
    designs = {design: chosen_for(design, rating) for design in DESIGNS if design not in lacking}
    validate = partial(cross_validate, nodules, learn, folds=folds, seed=seed, on_progress=on_progress)
    found = _once(validate, designs, rating) if experiment.once else validate(designs)
    patients = len(np.unique(nodules.sets.patient))
    return NoduleComparison(
        experiment=name,
        question=experiment.question,
        data=data.resolve().name,
        nodules=len(nodules.qif),
        patients=patients,
        unrated=nodules.sets.unrated,
        folds=min(folds, patients),
        systems=measured(nodules, experiment, found, seed),
        published=experiment.published,
        differs=experiment.differs,
        left_out=tuple(lacking.values()),
        seconds=round(time.monotonic() - started_s, 3),
    )


def _once(validate: Validate, designs: Designs, rating: Floats) -> dict[str, dict[str, Floats]]:
    """Learn a mean of 3 and more of all nodules, for every design."""
    everything = np.ones(len(rating), bool), rating >= MALIGNANT_AT
    return dict.fromkeys(designs, validate({"": everything})[""])


def measured(
    nodules: RatedNodules, experiment: NoduleExperiment, found: dict[str, dict[str, Floats]], seed: int
) -> tuple[SystemFigures, ...]:
    """Return the figures of each system, from P(malignant) by design and system."""
    reference = experiment.systems[0]
    return tuple(
        SystemFigures(
            system=system,
            figures=tuple(_figures(nodules, design, found[design][system], seed) for design in found),
            above_reference={
                design: _above(nodules, design, of[system], of[reference], seed)
                for design, of in found.items()
                if system != reference
            },
        )
        for system in experiment.systems
    )


def _figures(nodules: RatedNodules, design: str, probability: Floats, seed: int) -> DesignFigures:
    chosen, malignant = chosen_for(design, nodules.sets.rating)
    sizes = {name: size[chosen] for name, size in nodules.sizes.items()}
    of = malignant[chosen], nodules.sets.patient[chosen], sizes
    return figures_in_design(design, probability[chosen], *of, seed=seed)


def _above(nodules: RatedNodules, design: str, probability: Floats, other: Floats, seed: int) -> Estimate:
    chosen, malignant = chosen_for(design, nodules.sets.rating)
    of = malignant[chosen], nodules.sets.patient[chosen]
    return auroc_above(probability[chosen], other[chosen], *of, seed=seed)
