"""Scores of each kind of malignancy system from its arrays and what it sees, without TensorFlow or scikit-learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from lidcflow.nodules.detector_network import DetectorNetwork
from lidcflow.nodules.malignancy_features import network_features
from lidcflow.nodules.nodule_views import NoduleViews
from lidcflow.nodules.nodulex_network import block_images, nodulex_features, nodulex_logits
from lidcflow.nodules.trees import forest_probability, log_odds
from lidcflow.nodules.window import windowed

Floats = NDArray[np.float64]
Arrays = Mapping[str, NDArray[Any]]
Scores = dict[str, Floats]
"""Scores of nodules that rise with malignancy: what answers under `ANSWER`, a system's parts under their names."""

ANSWER = ""

PLANES = ("axial", "coronal", "sagittal")


def part_of(arrays: Arrays, name: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of a part of a system, ``<name>/<array>``, by the rest of their names."""
    return {key.removeprefix(f"{name}/"): one for key, one in arrays.items() if key.startswith(f"{name}/")}


def size_scores(arrays: Arrays, views: NoduleViews) -> Scores:
    """Return a logistic model's log odds by the logarithm of the size: ``kernel``, ``bias``."""
    return {ANSWER: np.asarray(arrays["kernel"] * np.log(views.size_mm) + arrays["bias"], np.float64)}


def svm_scores(arrays: Arrays, views: NoduleViews) -> Scores:
    """Return the decision function of a support vector machine with a radial kernel on QIF.

    ``mean`` and ``scale`` standardise; ``support`` (vectors, 40), ``dual`` (vectors,), ``gamma`` and ``bias``.
    """
    seen = (views.qif - arrays["mean"]) / arrays["scale"]
    near = np.exp(-arrays["gamma"] * cdist(seen, arrays["support"], "sqeuclidean"))
    return {ANSWER: np.asarray(near @ arrays["dual"] + arrays["bias"])}


def ridge_features(network: Arrays, views: NoduleViews) -> Floats:
    """Return what the detector's network finds at two widths, and QIF, (n, 1048).

    Parameters
    ----------
    network : mapping of str to array
        Weights as `lidcflow.nodules.detector_network.DetectorNetwork` takes them.
    views : NoduleViews
    """
    weights = {name: one.astype(np.float32) for name, one in network.items()}
    found = network_features(DetectorNetwork(weights), list(views.image), views.voxel_mm)
    return np.column_stack([found, views.qif])


def ridge_scores(arrays: Arrays, views: NoduleViews) -> Scores:
    """Return ratings by a linear model of `ridge_features`: ``network/...``, ``kernel``, ``bias``."""
    return {ANSWER: ridge_features(part_of(arrays, "network"), views) @ arrays["kernel"] + arrays["bias"]}


def nodulex_scores(arrays: Arrays, views: NoduleViews) -> Scores:
    """Return the log odds of a forest on a network's features and QIF; parts: the network, and a forest on QIF.

    ``network/...`` as in `lidcflow.nodules.nodulex_network`, ``joined/...`` and ``qif/...`` as in
    `lidcflow.nodules.trees`.
    """
    network = part_of(arrays, "network")
    features = nodulex_features(network, block_images(views.block))
    return {
        ANSWER: log_odds(forest_probability(part_of(arrays, "joined"), np.column_stack([features, views.qif]))),
        "cnn": nodulex_logits(network, features).astype(np.float64),
        "qif_forest": log_odds(forest_probability(part_of(arrays, "qif"), views.qif)),
    }


def triplanar_scores(arrays: Arrays, views: NoduleViews) -> Scores:
    """Return the mean logit of three networks, ``axial/...``, ``coronal/...`` and ``sagittal/...``."""
    grey = windowed(views.planes)
    logits = [DetectorNetwork(part_of(arrays, name))(grey[:, place]) for place, name in enumerate(PLANES)]
    return {ANSWER: np.mean(logits, axis=0, dtype=np.float64)}


SCORES: dict[str, Callable[[Arrays, NoduleViews], Scores]] = {
    "nodulex": nodulex_scores,
    "triplanar": triplanar_scores,
    "svm": svm_scores,
    "size": size_scores,
    "ridge": ridge_scores,
}
"""Scoring functions by the kind of system on its card."""
