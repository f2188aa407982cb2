"""The multi-view network of a detector of one's own in Keras: three planes at two widths, a network for each width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lidcflow.learn.nodule_layers import detector_layers, folded_weights, start_from
from lidcflow.learn.own_examples import VIEWS
from lidcflow.learn.runtime import keras
from lidcflow.nodules.patch_shape import PATCH_PIXEL_MM, PLANES
from lidcflow.nodules.window import SIZE

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class MultiView:
    """The network, and its parts that see one image each.

    Attributes
    ----------
    model : keras.Model
        (n, 6, 48, 48) images of 0 to 1 -> (n, 1) logits.
    of_width : tuple of keras.Model
        (n, 48, 48, 1) images -> (n, 1) logits, for narrow and for wide patches; each sees all three planes.
    """

    model: keras.Model
    of_width: tuple[keras.Model, ...]

    def folded(self) -> list[dict[str, Floats]]:
        """Return the weights for narrow and for wide patches, as `DetectorNetwork` takes them."""
        return [folded_weights(network) for network in self.of_width]


def multi_view(*, seed: int) -> MultiView:
    """Build the network with random weights: the mean logit of the planes of each width, added up.

    Parameters
    ----------
    seed : int
        Of weights and dropout.
    """
    images = keras.Input((VIEWS, SIZE, SIZE), name="views")
    networks = tuple(detector_layers(seed=seed + width) for width in range(len(PATCH_PIXEL_MM)))
    parts = [_of_width(images, network, width) for width, network in enumerate(networks)]
    return MultiView(keras.Model(images, keras.layers.Add()(parts)), networks)


def _of_width(images: keras.KerasTensor, network: keras.Model, width: int) -> keras.KerasTensor:
    first = width * len(PLANES)
    planes = [keras.ops.expand_dims(images[:, view], -1) for view in range(first, first + len(PLANES))]
    flat = network(keras.ops.concatenate(planes, axis=0))
    return keras.ops.mean(keras.ops.stack(keras.ops.split(flat, len(PLANES), axis=0)), axis=0)


def start_from_embedded(network: MultiView, weights: Mapping[str, Floats], batches: Sequence[Floats]) -> None:
    """Set the network to go on learning from the embedded detector: its first answers are the narrow patches' alone.

    Parameters
    ----------
    network : MultiView
        From `multi_view`.
    weights : mapping of str to array
        Of the embedded detector's network.
    batches : sequence of (n, 6, 48, 48) arrays of float32
        What batch normalisation takes its first statistics from.
    """
    silent = {**weights, "logit/kernel": 0 * weights["logit/kernel"], "logit/bias": 0 * weights["logit/bias"]}
    images = np.concatenate(batches)
    for width, (part, start) in enumerate(zip(network.of_width, (weights, silent), strict=True)):
        first = width * len(PLANES)
        start_from(part, start, images[:, first : first + len(PLANES)].reshape(-1, SIZE, SIZE, 1))
