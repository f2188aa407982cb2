"""Card of a malignancy system that was trained on a store, with counts of its nodules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lidcflow.learn.own_malignancy_examples import RatedViews
from lidcflow.nodules.malignancy import embedded_malignancy
from lidcflow.nodules.malignancy_answer import ranges_of
from lidcflow.nodules.malignancy_system import KIND
from lidcflow.privacy import PUBLIC_KEY, hash_patient_id

KNOWN = "known_patients"
"""Count of the validation patients that the embedded system was trained on."""

NAMES = {
    "nodulex": "NoduleX of this store",
    "triplanar": "three planes of this store",
    "svm": "SVM on QIF of this store",
    "ridge": "ridge on network features and QIF of this store",
    "size": "size alone of this store",
}
"""Names of the systems in answers, by kind."""


def known_patients(rated: RatedViews, secret: bytes = PUBLIC_KEY) -> int:
    """Return how many of the patients the embedded system was trained on.

    Parameters
    ----------
    rated : RatedViews
        With pseudonyms made with the secret, or Patient IDs.
    secret : bytes
        Key of the pseudonyms, see `lidcflow.privacy.load_secret`.
    """
    named = embedded_malignancy().card.get("patients", [])
    return len(set(rated.patient.tolist()) & {*named, *(hash_patient_id(one, secret) for one in named)})


def counts_of(training: RatedViews, validation: RatedViews, malignant_at: float, secret: bytes) -> dict[str, int]:
    """Count the nodules and patients that a system is trained and judged on.

    Parameters
    ----------
    training, validation : RatedViews
    malignant_at : float
        Mean rating from which a nodule counts as malignant.
    secret : bytes
        Key of the patients' pseudonyms.
    """
    splits = {"training": training, "validation": validation}
    counts = {"unrated_nodules": training.unrated + validation.unrated, KNOWN: known_patients(validation, secret)}
    for name, rated in splits.items():
        counts[f"{name}_malignant"] = int((rated.rating >= malignant_at).sum())
        counts[f"{name}_benign"] = int((rated.rating < malignant_at).sum())
        counts[f"{name}_patients"] = len(np.unique(rated.patient))
    return counts


def card_of(
    kind: str,
    training: RatedViews,
    judged: Mapping[str, Any],
    settings: Mapping[str, int],
    malignant_at: float,
) -> dict[str, Any]:
    """Return the card of a system.

    Parameters
    ----------
    kind : str
        One of `NAMES`.
    training : RatedViews
        What it was trained on, whose ranges count as known.
    judged : mapping
        ``nodules``, ``calibration`` and ``figures``, from validation patients.
    settings : mapping of str to int
        Of the training.
    malignant_at : float
        Mean rating from which a nodule counts as malignant.
    """
    return {
        "name": NAMES[kind],
        KIND: kind,
        "target": f"readers' mean malignancy rating of {malignant_at:g} or more, of 5",
        "data": ["nodules of this store's training patients with readers' ratings"],
        "split": "by patient, as the snapshot of the training; calibrated on the validation patients",
        "training": {**settings, "embedded": embedded_malignancy().sha256},
        "ranges": ranges_of(training.views.size_mm, training.views.qif),
        **judged,
    }
