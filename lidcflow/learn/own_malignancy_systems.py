"""Fit the systems of malignancy on a store's nodules: arrays that are applied without scikit-learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from lidcflow.learn.classical import LEAST_LEAF, C
from lidcflow.learn.malignancy_folds import PENALTIES, fit_linear
from lidcflow.learn.own_malignancy_examples import Flags, Floats, RatedViews
from lidcflow.nodules.detector import embedded_detector
from lidcflow.nodules.malignancy_scores import Arrays, part_of, ridge_features
from lidcflow.nodules.nodulex_network import block_images, nodulex_features
from lidcflow.nodules.trees import LEAF

TREES = 200
"""Trees of a forest: 2 to 4 MB on 2,000 nodules."""

OWN_PENALTIES = (100.0, 300.0, *PENALTIES)
"""Penalties of the ridge regression, with lower ones, since a store may hold few nodules."""

Networks = Mapping[str, NDArray[Any]]
"""Weights of the networks of a system, as Keras trained them; none for systems without."""


def fit_size(rated: RatedViews, malignant: Flags, _networks: Networks, _seed: int) -> Arrays:
    """Fit a logistic model on the logarithm of the size."""
    fitted = LogisticRegression().fit(np.log(rated.views.size_mm)[:, None], malignant)
    return {"kernel": np.array(fitted.coef_[0, 0]), "bias": np.array(fitted.intercept_[0])}


def fit_svm(rated: RatedViews, malignant: Flags, _networks: Networks, _seed: int) -> Arrays:
    """Fit a support vector machine with a radial kernel on QIF."""
    scaler = StandardScaler().fit(rated.views.qif)
    seen = scaler.transform(rated.views.qif)
    width = 1 / (seen.shape[1] * (float(seen.var()) or 1.0))  # scikit-learn's "scale", which it keeps to itself
    return machine_arrays(scaler, SVC(C=C, gamma=width).fit(seen, malignant))


def machine_arrays(scaler: StandardScaler, machine: SVC) -> Arrays:
    """Return a fitted machine as `lidcflow.nodules.malignancy_scores.svm_scores` takes it."""
    return {
        "mean": scaler.mean_,
        "scale": scaler.scale_,
        "support": machine.support_vectors_,
        "dual": machine.dual_coef_[0],
        "gamma": np.array(machine.gamma),
        "bias": np.array(machine.intercept_[0]),
    }


def fit_ridge(rated: RatedViews, _malignant: Flags, _networks: Networks, _seed: int) -> Arrays:
    """Fit the ridge regression of the mean rating on the embedded detector's features and QIF."""
    network = {name: one.astype(np.float16) for name, one in embedded_detector().networks[0].weights.items()}
    kernel, bias = fit_linear(ridge_features(network, rated.views), rated, OWN_PENALTIES)
    return {**_named("network", network), "kernel": kernel, "bias": np.array(bias)}


def fit_nodulex(rated: RatedViews, malignant: Flags, networks: Networks, seed: int) -> Arrays:
    """Fit a forest on the network's features and QIF, and one on QIF alone."""
    features = nodulex_features(part_of(networks, "network"), block_images(rated.views.block))
    both = np.column_stack([features, rated.views.qif])
    forests = {"joined": both, "qif": rated.views.qif}
    fitted = {name: fit_forest(seen, malignant, seed) for name, seen in forests.items()}
    return {**networks, **_named("joined", fitted["joined"]), **_named("qif", fitted["qif"])}


def fit_triplanar(_rated: RatedViews, _malignant: Flags, networks: Networks, _seed: int) -> Arrays:
    """Return the three networks, which are the whole system."""
    return networks


FITS: dict[str, Callable[[RatedViews, Flags, Networks, int], Arrays]] = {
    "nodulex": fit_nodulex,
    "triplanar": fit_triplanar,
    "svm": fit_svm,
    "ridge": fit_ridge,
    "size": fit_size,
}
"""Functions that fit a system, by kind; each takes training nodules, which are malignant, networks and a seed."""


def _named(part: str, arrays: Arrays) -> dict[str, NDArray[Any]]:
    return {f"{part}/{name}": one for name, one in arrays.items()}


def fit_forest(features: Floats, malignant: Flags, seed: int, *, trees: int = TREES) -> Arrays:
    """Fit a random forest; return it as `lidcflow.nodules.trees.forest_probability` takes it.

    Parameters
    ----------
    features : (n, features) array
    malignant : (n,) array of bool
        Of both kinds.
    seed, trees : int
    """
    fitted = RandomForestClassifier(trees, min_samples_leaf=LEAST_LEAF, n_jobs=1, random_state=seed)
    return forest_arrays(fitted.fit(features, malignant))


def forest_arrays(forest: RandomForestClassifier) -> Arrays:
    """Return a fitted forest of two classes as arrays, the nodes of all trees one after the other."""
    trees = [one.tree_ for one in forest.estimators_]
    roots = np.cumsum([0, *(tree.node_count for tree in trees[:-1])])
    malignant = [tree.value[:, 0, -1] / tree.value[:, 0].sum(axis=1) for tree in trees]
    leaf = np.concatenate([tree.children_left == LEAF for tree in trees])
    feature = np.concatenate([tree.feature for tree in trees])
    threshold = np.concatenate([tree.threshold for tree in trees])
    return {
        "roots": roots.astype(np.int32),
        "feature": np.where(leaf, LEAF, feature).astype(np.int16),
        "threshold": np.where(leaf, 0.0, threshold),
        "left": _below([tree.children_left for tree in trees], roots, leaf),
        "right": _below([tree.children_right for tree in trees], roots, leaf),
        "value": np.concatenate(malignant),
    }


def _below(children: list[NDArray[np.int64]], roots: NDArray[np.int64], leaf: Flags) -> NDArray[np.int32]:
    """Return children by their place among the nodes of all trees; a leaf is its own."""
    moved = np.concatenate([one + root for one, root in zip(children, roots, strict=True)])
    return np.where(leaf, np.arange(len(leaf)), moved).astype(np.int32)
