"""A small comparison on rated nodules."""

import numpy as np

from lidcflow.experiment.nodule_figures import NoduleComparison, SystemFigures
from lidcflow.experiment.published import NODULEX
from lidcflow.stats.malignancy_figures import auroc_above, malignancy_figures

RATING = np.array([1.5, 2.0, 4.0, 5.0])
PATIENTS = np.array(["a", "b", "c", "d"])
SIZES = {"image": np.array([4.0, 9.0, 8.0, 12.0])}


def small_comparison():
    """Return what two systems reach on four nodules: the first errs once, the second never."""
    scores = {"first": np.array([0.2, 0.7, 0.6, 0.9]), "second": np.array([0.1, 0.2, 0.8, 0.9])}
    above = auroc_above(scores["second"], scores["first"], RATING >= 4, PATIENTS)
    return NoduleComparison(
        experiment="nodulex",
        question="Which?",
        data="set",
        nodules=4,
        patients=4,
        unrated=1,
        folds=2,
        systems=tuple(
            SystemFigures(
                system=name,
                figures=malignancy_figures(score, RATING, PATIENTS, SIZES)[:1],
                above_reference={} if name == "first" else {"S12 vs S45": above},
            )
            for name, score in scores.items()
        ),
        published=(NODULEX,),
        differs=("Data: <drawn>.",),
        left_out=("S1 vs S45 must have more",),
        seconds=1.0,
    )
