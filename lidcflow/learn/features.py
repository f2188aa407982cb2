"""Features of the slices of one series: one pass through the frozen backbone, whatever is trained on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lidcflow.learn.backbones import Backbone, Network
from lidcflow.learn.engines import Engine
from lidcflow.learn.inputs import model_input
from lidcflow.store.volumes import VolumeRecord, VolumeStore

__all__ = ["keep_features", "model_input", "series_features", "volume_features"]

BATCH_PIXELS = 65 * 128 * 128
"""Pixels in one pass: a default volume at once (some 100 MiB of activations), larger ones in parts."""


def volume_features(engine: Engine, volumes_hu: Sequence[NDArray[np.int16]]) -> list[NDArray[np.float16]]:
    """Compute the features of every slice of volumes, all volumes in one pass.

    Parameters
    ----------
    engine : Engine
        From `lidcflow.learn.engines.load_engine`.
    volumes_hu : sequence of (2, slices, rows, columns) arrays of int16
        Channels ``mean`` and ``max`` in HU.

    Returns
    -------
    list of (slices, feature_dim) arrays of float16
        Features of each volume, in the order of its slices.

    Raises
    ------
    ValueError
        If the slices don't have the size of the backbone.
    """
    hu = np.concatenate(volumes_hu, axis=1)
    features = series_features(engine.network, hu, engine.backbone, batch_pixels=len(volumes_hu) * BATCH_PIXELS)
    return np.split(features, np.cumsum([volume_hu.shape[1] for volume_hu in volumes_hu])[:-1])


def series_features(
    network: Network, hu: NDArray[np.int16], backbone: Backbone, *, batch_pixels: int | None = None
) -> NDArray[np.float16]:
    """Compute the features of every slice of a volume.

    Parameters
    ----------
    network : callable
        Of an `Engine`, or `predict_on_batch` of a Keras model.
    hu : (2, slices, rows, columns) array of int16
        Channels ``mean`` and ``max`` in HU.
    backbone : Backbone
        What `network` is.
    batch_pixels : int, optional
        Most pixels in one pass; by default `BATCH_PIXELS`.

    Returns
    -------
    (slices, feature_dim) array of float16
        Features, in the order of the slices.

    Raises
    ------
    ValueError
        If the slices don't have the size of the backbone.
    """
    if hu.shape[2:] != (backbone.size, backbone.size):
        raise ValueError(
            f"features: slices must be {backbone.size} x {backbone.size} pixels for {backbone.id}, got {hu.shape[2:]}"
        )
    step = max(1, (batch_pixels or BATCH_PIXELS) // backbone.size**2)
    parts = [network(model_input(hu[:, start : start + step], backbone.input)) for start in range(0, hu.shape[1], step)]
    return np.concatenate(parts).astype(np.float16)


def keep_features(
    store: VolumeStore, record: VolumeRecord, features: NDArray[np.float16], engine: Engine, *, feature_id: str
) -> None:
    """Commit features, with the figure of the check of what computed them."""
    uid, digest = record.series_instance_uid, record.volume_digest
    store.write_features(uid, feature_id, features, digest, engine_error=engine.error)


class FeatureReader(Protocol):
    """From a SeriesInstanceUID to the features of its slices, all or a range from 0; float16, one row per slice."""

    def __call__(self, uid: str, slices: range | None = None, /) -> NDArray[np.float16]: ...


@dataclass(frozen=True)
class FeatureSource:
    """Features as they are stored, and what finetuning needs beside them.

    Attributes
    ----------
    read : callable
        Reads the features of a series.
    views : tuple of callables
        Each reads those of one variation of a training series, from `lidcflow.learn.augment`.
    size : int
        Rows and columns of the volumes.
    """

    read: FeatureReader
    views: tuple[FeatureReader, ...] = ()
    size: int = 0
