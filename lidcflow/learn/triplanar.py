"""The axial plane of Nibali et al.: residual networks from nothing and from two others' weights, maybe by a curriculum.

References
----------
Nibali A, He Z, Wollersheim D 2017, Int J CARS 12: 1799-1808, doi:10.1007/s11548-017-1605-6.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from lidcflow.config import TrainConfig
from lidcflow.config.science import MALIGNANT_AT
from lidcflow.learn.backbones import weight_file
from lidcflow.learn.compact import compact_network, read_weights
from lidcflow.learn.nodule_layers import detector_layers, start_from
from lidcflow.learn.plane_training import Floats as Images
from lidcflow.learn.plane_training import PlaneTraining, answers_of, train_on_planes
from lidcflow.learn.rated_nodules import Floats, Fold, RatedNodules
from lidcflow.learn.runtime import keras
from lidcflow.nodules.detector import embedded_detector
from lidcflow.nodules.nodule_plane import plane_of
from lidcflow.nodules.slice_file import NoduleSliceSet
from lidcflow.nodules.window import SIZE, windowed

NetworkFrom = Callable[[Images, int], keras.Model]
"""Builds a network for images that it will learn from, and a seed."""

TRAINING = PlaneTraining(steps=120)

START_IMAGES = 256
"""Planes whose statistics a network that goes on learning starts from."""

HALVED = SIZE // 2
"""Pixels of the planes for the sector backbone, which knows nodules a few pixels wide: 1.5 mm each."""


def plane_images(sets: NoduleSliceSet) -> Images:
    """Return planes as the networks see them.

    Returns
    -------
    (n, 48, 48, 1) array of float32
        From 0 (air) to 1, at 0.75 mm.
    """
    planes = [plane_of(image, float(mm)) for image, mm in zip(sets.hu, sets.pixel_mm, strict=True)]
    grey = windowed(np.round(np.stack(planes)).astype(np.int32))
    return np.asarray(grey[..., None] / 255, np.float32)


def easiness_of(sets: NoduleSliceSet) -> NDArray[np.float64]:
    """Return how easy nodules are: how far from 3 their mean rating is, less how far its readers disagree."""
    return np.asarray(np.abs(sets.rating - MALIGNANT_AT) - sets.spread)


def from_nothing(_images: Images, seed: int) -> keras.Model:
    """Build the detector's network with random weights."""
    return detector_layers(seed=seed)


def from_detector(images: Images, seed: int) -> keras.Model:
    """Build the detector's network with its weights, but for the last layer."""
    model = detector_layers(seed=seed)
    fresh = model.get_layer("logit").get_weights()
    start_from(model, embedded_detector().networks[0].weights, images[:START_IMAGES])
    model.get_layer("logit").set_weights(fresh)
    return model


def from_backbone(_images: Images, seed: int) -> keras.Model:
    """Build the compact sector backbone with its weights, on planes at 1.5 mm, with a last layer."""
    backbone = compact_network(HALVED)
    read_weights(backbone, weight_file(TrainConfig(backbone="compact")))
    planes = keras.Input((SIZE, SIZE, 1), name="images")
    halved = keras.layers.AveragePooling2D(2)(planes)
    grey = keras.layers.Rescaling(255.0)(keras.layers.Concatenate()([halved] * 3))
    features = keras.layers.LayerNormalization()(backbone(grey))
    spared = keras.layers.Dropout(0.3, seed=seed)(features)
    logit = keras.layers.Dense(1, kernel_initializer=keras.initializers.GlorotUniform(seed))(spared)
    return keras.Model(planes, logit)


STARTS: dict[str, NetworkFrom] = {
    "from nothing": from_nothing,
    "from the detector": from_detector,
    "from the sector backbone": from_backbone,
}


def learn_triplanar(
    nodules: RatedNodules,
    fold: Fold,
    training: PlaneTraining = TRAINING,
    starts: Mapping[str, NetworkFrom] = STARTS,
) -> dict[str, Floats]:
    """Learn from each start, without and with a curriculum; see `lidcflow.learn.rated_nodules.Learn`.

    Nodules whose mean rating is 3 are not learned from, as published.
    """
    images, easiness = plane_images(nodules.sets), easiness_of(nodules.sets)
    seen = fold.seen[nodules.sets.rating[fold.seen] != MALIGNANT_AT]
    found = {}
    for start, network_from in starts.items():
        for name, order in ((start, None), (f"{start}, curriculum", easiness[seen])):
            network = network_from(images[seen], fold.seed)
            train_on_planes(network, images[seen], fold.malignant[seen], training, seed=fold.seed, easiness=order)
            found[name] = expit(answers_of(network, images[fold.left_out])[:, 0].astype(np.float64))
    return found
