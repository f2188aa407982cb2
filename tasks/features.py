"""Features of every slice, computed once on the cluster and kept in the store."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from lidcflow.config import Config
from lidcflow.errors import TrainingError
from lidcflow.learn.backbones import load_backbone
from lidcflow.learn.features import series_features
from lidcflow.store.volumes import VolumeStore
from tasks.cluster import map_series
from tasks.progress import stage


@task(task_run_name="features of {feature_id}", cache_policy=NO_CACHE)
def compute_features(uids: Iterable[str], feature_id: str, config: Config, address: str) -> int:
    """Compute the features that the store lacks; return how many series lacked them.

    Raises
    ------
    TrainingError
        If a series ends without features.
    """
    store = VolumeStore.of(config)
    lacking = [uid for uid in uids if store.read_features(uid, feature_id) is None]
    work = functools.partial(feature_series, config=config)
    with stage("features", total=len(lacking)) as progress:
        for uid, outcome in map_series(address, work, lacking, window=config.cluster.window):
            if isinstance(outcome, Exception):
                raise TrainingError(f"series {uid}: must have features to be trained on, got: {outcome}") from outcome
            progress.advance()
    return len(lacking)


def feature_reader(store: VolumeStore, feature_id: str) -> Callable[[str], NDArray[np.float16]]:
    """Return a function from a SeriesInstanceUID to its stored features.

    It raises `TrainingError` when the store lacks them.
    """

    def read(uid: str) -> NDArray[np.float16]:
        features = store.read_features(uid, feature_id)
        if features is None:
            raise TrainingError(
                f"series {uid}: must have the features {feature_id}, got none; train again to make them"
            )
        return features

    return read


def feature_series(uid: str, config: Config) -> None:
    """Compute the features of one stored volume and commit them."""
    model, backbone = load_backbone(config.train, config.preprocess.size)
    store = VolumeStore.of(config)
    record = store.record(uid)
    store.write_features(uid, backbone.id, series_features(model, store.read_hu(uid), backbone), record.volume_digest)
