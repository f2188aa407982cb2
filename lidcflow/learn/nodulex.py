"""NoduleX in one plane: a small convolutional network on the middle of a nodule, QIF, and the two joined.

References
----------
Causey JL et al. 2018, Scientific Reports 8: 9286, doi:10.1038/s41598-018-27569-w.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from lidcflow.learn.classical import fit_and_answer, forest
from lidcflow.learn.plane_training import PlaneTraining, answers_of, train_on_planes
from lidcflow.learn.rated_nodules import Floats, Fold, RatedNodules
from lidcflow.learn.runtime import keras
from lidcflow.nodules.nodulex_network import CONVOLUTIONS, GAIN, OFFSET
from lidcflow.nodules.window import middle, windowed

SIDE = 21
"""Pixels of the middle that the network sees, at the scan's own distance, as published."""

TRAINING = PlaneTraining()

FEATURES = 64
"""Features of the layer before the last, which the joined system uses."""


def learn_nodulex(nodules: RatedNodules, fold: Fold, training: PlaneTraining = TRAINING) -> dict[str, Floats]:
    """Learn the three systems; see `lidcflow.learn.rated_nodules.Learn`."""
    images = nodulex_images(nodules.sets.hu)
    network, features = nodulex_layers(seed=fold.seed)
    train_on_planes(network, images[fold.seen], fold.malignant[fold.seen], training, seed=fold.seed)
    seen, left_out = (
        np.column_stack([answers_of(features, images[part]), nodules.qif[part]]) for part in (fold.seen, fold.left_out)
    )
    qif = nodules.qif[fold.seen], nodules.qif[fold.left_out]
    return {
        "CNN": expit(answers_of(network, images[fold.left_out])[:, 0].astype(np.float64)),
        "random forest on QIF": fit_and_answer(forest(fold.seed), *qif, fold),
        "CNN and QIF": fit_and_answer(forest(fold.seed), seen, left_out, fold),
    }


def nodulex_images(hu: NDArray[np.integer]) -> NDArray[np.float32]:
    """Return the middle of images as the network sees it.

    Returns
    -------
    (n, 21, 21, 1) array of float32
        From 0 (air) to 1.
    """
    return np.asarray(middle(windowed(hu), SIDE)[..., None] / 255, np.float32)


def nodulex_layers(*, seed: int, slices: int = 1) -> tuple[keras.Model, keras.Model]:
    """Build the network with random weights.

    Parameters
    ----------
    seed : int
        Of weights and dropout.
    slices : int
        Slices that it sees at once, as channels.

    Returns
    -------
    keras.Model
        (n, 21, 21, slices) images of 0 to 1 -> (n, 1) logits.
    keras.Model
        The same without the last layer: -> (n, 64) features.
    """
    images = keras.Input((SIDE, SIDE, slices), name="images")
    maps = keras.layers.Rescaling(GAIN, OFFSET)(images)
    for place, (name, filters) in enumerate(zip(CONVOLUTIONS, (32, 64), strict=True)):
        start = keras.initializers.HeNormal(seed + place)
        convolution = keras.layers.Conv2D(filters, 3, activation="relu", kernel_initializer=start, name=name)
        maps = keras.layers.MaxPooling2D(2)(convolution(maps))
    flat = keras.layers.Dropout(0.3, seed=seed)(keras.layers.Flatten()(maps))
    start = keras.initializers.HeNormal(seed + 2)
    features = keras.layers.Dense(FEATURES, activation="relu", kernel_initializer=start, name="features")(flat)
    spared = keras.layers.Dropout(0.3, seed=seed + 1)(features)
    start = keras.initializers.GlorotUniform(seed + 3)
    logit = keras.layers.Dense(1, kernel_initializer=start, name="logit")(spared)
    return keras.Model(images, logit), keras.Model(images, features)
