"""Figures of a release's malignancy system and of the embedded one, on the nodules of one split."""

from __future__ import annotations

import numpy as np

from lidcflow.learn.own_malignancy_examples import Floats, RatedViews
from lidcflow.nodules.malignancy import MalignancyModel, embedded_malignancy
from lidcflow.nodules.malignancy_system import MalignancySystem
from lidcflow.stats.binary_draws import binary_calibration_draws, binary_log_loss_draws
from lidcflow.stats.bootstrap import RESAMPLES, draw_patients, estimate
from lidcflow.stats.estimate import Estimate
from lidcflow.stats.malignancy_figures import auroc_draws, chosen_for

DESIGNS = {"_s1_s45": "S1 vs S45", "_s12_s45": "S12 vs S45"}
"""Designs that leave nodules between out, as names of figures end."""


def split_figures(
    model: MalignancySystem | MalignancyModel, rated: RatedViews, malignant_at: float, *, seed: int = 0
) -> dict[str, Estimate]:
    """Measure a system, the embedded one and size alone on the rated nodules of a split.

    Parameters
    ----------
    model : MalignancySystem or MalignancyModel
        That of the release.
    rated : RatedViews
        Of the split, which neither system learned from or was calibrated on.
    malignant_at : float
        Mean rating from which a nodule counts as malignant.
    seed : int
        Of the bootstrap.

    Returns
    -------
    dict of str to Estimate
        ``auroc`` for nodules from the threshold on, ``auroc_s1_s45`` and ``auroc_s12_s45`` where there are both kinds,
        ``log_loss`` and ``calibration_error``; with ``_embedded`` and, of AUROC alone, ``_size`` for the others.
    """
    _, number = np.unique(rated.patient, return_inverse=True)
    draws = draw_patients(int(number.max()) + 1, seed=seed, resamples=RESAMPLES)
    probability: dict[str, Floats] = {
        "": model.probabilities(rated.views),
        "_embedded": embedded_malignancy().probabilities(rated.views),
    }
    scores = probability | {"_size": rated.views.size_mm}
    malignant = rated.rating >= malignant_at
    designs = {"": (np.ones(len(malignant), bool), malignant)}
    designs |= {key: chosen_for(design, rated.rating) for key, design in DESIGNS.items()}
    figures = {
        f"auroc{key}{who}": estimate(auroc_draws(score[chosen], bad[chosen], number[chosen], draws))
        for key, (chosen, bad) in designs.items()
        if 0 < (chosen & bad).sum() < chosen.sum()
        for who, score in scores.items()
    }
    for who, p in probability.items():
        figures[f"log_loss{who}"] = estimate(binary_log_loss_draws(p, malignant, number, draws))
        figures[f"calibration_error{who}"] = estimate(binary_calibration_draws(p, malignant, number, draws))
    return figures
