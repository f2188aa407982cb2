"""Train the networks of the systems of malignancy that have some, in Keras: NoduleX and the three planes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lidcflow.blas import one_blas_thread
from lidcflow.learn.nodule_layers import detector_layers, folded_weights
from lidcflow.learn.nodulex import nodulex_layers
from lidcflow.learn.own_malignancy_examples import RatedViews
from lidcflow.learn.plane_training import Floats, PlaneTraining, train_on_planes
from lidcflow.learn.runtime import keras
from lidcflow.learn.triplanar import from_detector
from lidcflow.nodules.malignancy_scores import PLANES
from lidcflow.nodules.nodule_views import BLOCK
from lidcflow.nodules.nodulex_network import CONVOLUTIONS, block_images
from lidcflow.nodules.window import SIZE, windowed

TRAINING = PlaneTraining()

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class MalignancyNetworks:
    """The result of a training.

    Attributes
    ----------
    arrays : dict of str to array
        Weights, by the names that `lidcflow.nodules.malignancy_scores` reads.
    loss : list of float
        Of each step.
    """

    arrays: dict[str, NDArray[Any]]
    loss: list[float]


def train_malignancy(
    kind: str,
    rated: RatedViews,
    *,
    malignant_at: float,
    steps: int,
    seed: int,
    on_progress: Progress = lambda _done, _total: None,
) -> MalignancyNetworks:
    """Train the networks of a system.

    Parameters
    ----------
    kind : str
        ``nodulex`` or ``triplanar``.
    rated : RatedViews
        Nodules of training patients, of both kinds.
    malignant_at : float
        Mean rating from which a nodule counts as malignant.
    steps, seed : int
        Length and seed of the training; same seed and nodules, same weights.
    on_progress : callable, optional
        Called with the steps done and those to do.
    """
    with one_blas_thread():
        return TRAININGS[kind](rated, malignant_at, replace(TRAINING, steps=steps), seed, on_progress)


def _nodulex(
    rated: RatedViews, malignant_at: float, training: PlaneTraining, seed: int, on_progress: Progress
) -> MalignancyNetworks:
    network, _ = nodulex_layers(seed=seed, slices=BLOCK[0])
    images, malignant = block_images(rated.views.block), rated.rating >= malignant_at
    loss = train_on_planes(
        network, images, malignant, training, seed=seed, on_step=lambda done: on_progress(done, training.steps)
    )
    layers = {name: network.get_layer(name).get_weights() for name in (*CONVOLUTIONS, "features", "logit")}
    arrays = {
        f"network/{name}/{part}": one for name, both in layers.items() for part, one in zip(PARTS, both, strict=True)
    }
    return MalignancyNetworks(arrays, loss)


PARTS = ("kernel", "bias")


def _triplanar(
    rated: RatedViews, malignant_at: float, training: PlaneTraining, seed: int, on_progress: Progress
) -> MalignancyNetworks:
    """Train on nodules whose mean rating is not the threshold itself, as published, the easy ones first."""
    clear = clear_of(rated, malignant_at)
    images = plane_images(clear.views.planes)
    model, parts = three_planes(images, seed)
    loss = train_on_planes(
        model,
        images,
        clear.rating >= malignant_at,
        training,
        seed=seed,
        easiness=clear.easiness(malignant_at),
        on_step=lambda done: on_progress(done, training.steps),
    )
    folded = {plane: folded_weights(part) for plane, part in zip(PLANES, parts, strict=True)}
    arrays = {f"{plane}/{name}": one for plane, weights in folded.items() for name, one in weights.items()}
    return MalignancyNetworks(arrays, loss)


def clear_of(rated: RatedViews, malignant_at: float) -> RatedViews:
    """Return the nodules whose mean rating is not the threshold itself."""
    return rated.take(rated.rating != malignant_at)


TRAININGS = {"nodulex": _nodulex, "triplanar": _triplanar}


def plane_images(planes: NDArray[np.int16]) -> Floats:
    """Return planes as the networks see them.

    Parameters
    ----------
    planes : (n, 3, 48, 48) array of int16
        HU.

    Returns
    -------
    (n, 48, 48, 3) array of float32
        From 0 (air) to 1.
    """
    return np.asarray(np.moveaxis(windowed(planes), 1, -1) / np.float32(255), np.float32)


def three_planes(images: Floats, seed: int) -> tuple[keras.Model, list[keras.Model]]:
    """Build three residual networks from the embedded detector's weights; the answer is their mean logit.

    Parameters
    ----------
    images : (n, 48, 48, 3) array of float32
        What they will learn from.
    seed : int
        Of the last layers and dropout.

    Returns
    -------
    keras.Model
        (n, 48, 48, 3) images -> (n, 1) logits.
    list of keras.Model
        Those of the planes, (n, 48, 48, 1) images -> (n, 1) logits.
    """
    first = from_detector(np.moveaxis(images, -1, 1).reshape(-1, SIZE, SIZE, 1), seed)
    parts = [first, *(_alike(first, seed + k) for k in range(1, len(PLANES)))]
    seen = keras.Input((SIZE, SIZE, len(PLANES)), name="planes")
    logits = [part(seen[..., k : k + 1]) for k, part in enumerate(parts)]
    return keras.Model(seen, keras.layers.Average()(logits)), parts


def _alike(first: keras.Model, seed: int) -> keras.Model:
    """Return a network with the weights of another, but for the last layer."""
    made = detector_layers(seed=seed)
    fresh = made.get_layer("logit").get_weights()
    made.set_weights(first.get_weights())
    made.get_layer("logit").set_weights(fresh)
    return made
