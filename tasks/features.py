"""Features of every slice, computed once on the cluster and kept in the store."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from lidcflow.config import ClusterConfig, Config
from lidcflow.errors import EngineError, ResourceError, TrainingError, WeightsError
from lidcflow.learn.engines import Engine, load_engine
from lidcflow.learn.features import volume_features
from lidcflow.store.volumes import VolumeRecord, VolumeStore
from tasks.cluster import gpu_resources, map_series
from tasks.progress import Stage, stage

VOLUMES_ON_GPU = 8
"""Default volumes in one pass on a GPU: 520 slices of 128 x 128 take some 5 GiB through a ResNet-50."""


@task(task_run_name="features of {feature_id}", cache_policy=NO_CACHE)
def compute_features(uids: Iterable[str], feature_id: str, config: Config, address: str) -> int:
    """Compute the features that the store lacks; return how many series lacked them.

    A series that fails is tried once more by itself, and costs the others nothing: their features are kept. Features
    that are not numbers, or not of the shape that most have, count as lacking.

    Raises
    ------
    TrainingError
        If a series ends without features.
    EngineError, WeightsError, ResourceError
        If no series can have any: the backbone or its engine are not usable, or the store is full.
    """
    store = VolumeStore.of(config)
    lacking = _lacking(store, list(uids), feature_id)
    with stage("features", total=len(lacking)) as progress, gpu_resources(config.cluster):
        failed = _computed(passes(lacking, config.cluster), config, address, progress)
        failed = _computed([(uid,) for uid in failed], config, address, progress)
    if failed:
        raise TrainingError(_sentence(failed, len(lacking)))
    return len(lacking)


def passes(uids: Sequence[str], config: ClusterConfig) -> list[tuple[str, ...]]:
    """Group series into passes through the backbone: singly on processors, several where they fill a GPU.

    Examples
    --------
    >>> passes(["1.1", "1.2", "1.3"], ClusterConfig(feature_batch=2))
    [('1.1', '1.2'), ('1.3',)]
    """
    volumes = config.feature_batch or (VOLUMES_ON_GPU if config.gpus else 1)
    return [tuple(uids[first : first + volumes]) for first in range(0, len(uids), volumes)]


def feature_reader(store: VolumeStore, feature_id: str) -> Callable[[str], NDArray[np.float16]]:
    """Return a function from a SeriesInstanceUID to its stored features.

    It raises `TrainingError` when the store lacks them, or has some that can't be trained on.
    """
    shapes: dict[str, tuple[int, ...]] = {}

    def read(uid: str) -> NDArray[np.float16]:
        features = store.read_features(uid, feature_id)
        if features is None:
            raise TrainingError(
                f"series {uid}: must have the features {feature_id}, got none; train again to make them"
            )
        first = shapes.setdefault("first", (store.config.slices, *features.shape[1:]))
        if not _is_trainable(features, first):
            got = f"{features.shape} with {int((~np.isfinite(features)).sum())} that are not"
            raise TrainingError(
                f"series {uid}: features {feature_id} must be numbers in the shape {first}, got {got}; "
                "train again to make them anew, or check the backbone's weight file"
            )
        return features

    return read


def feature_pass(uids: Sequence[str], config: Config) -> None:
    """Compute the features of stored volumes in one pass and commit them."""
    engine = load_engine(config.train, config.preprocess.size)
    store = VolumeStore.of(config)
    records = [store.record(uid) for uid in uids]
    computed = volume_features(engine, [store.read_hu(uid) for uid in uids])
    for record, features in zip(records, computed, strict=True):
        keep_features(store, record, features, engine)


def keep_features(store: VolumeStore, record: VolumeRecord, features: NDArray[np.float16], engine: Engine) -> None:
    """Commit features under the name of what computed them, with the figure of its check."""
    store.write_features(
        record.series_instance_uid, engine.backbone.id, features, record.volume_digest, engine_error=engine.error
    )


def _lacking(store: VolumeStore, uids: Sequence[str], feature_id: str) -> list[str]:
    """List the series without features, or with some that can't be trained on together with the others'."""
    shapes = dict(zip(uids, (_shape(store.read_features(uid, feature_id)) for uid in uids), strict=True))
    usual = Counter(shape for shape in shapes.values() if shape and shape[0] == store.config.slices)
    wanted = usual.most_common(1)[0][0] if usual else None
    return [uid for uid, shape in shapes.items() if shape is None or shape != wanted]


def _shape(features: NDArray[np.float16] | None) -> tuple[int, ...] | None:
    """Return the shape of features; None where there are none, or some are not numbers."""
    return features.shape if features is not None and _is_trainable(features, features.shape) else None


def _is_trainable(features: NDArray[np.float16], shape: tuple[int, ...]) -> bool:
    return features.shape == shape and bool(np.isfinite(features).all())


def _computed(groups: Sequence[tuple[str, ...]], config: Config, address: str, progress: Stage) -> dict[str, Exception]:
    """Run the passes on the cluster and return what kept series from their features."""
    work = functools.partial(feature_pass, config=config)
    failed: dict[str, Exception] = {}
    for uids, outcome in map_series(address, work, groups, window=config.cluster.window):
        if isinstance(outcome, EngineError | WeightsError | ResourceError):
            raise outcome
        if isinstance(outcome, Exception):
            failed |= dict.fromkeys(uids, outcome)
        else:
            progress.advance(len(uids))
    return failed


def _sentence(failed: dict[str, Exception], total: int) -> str:
    uid, error = next(iter(failed.items()))
    return (
        f"features: every one of {total} series must have them to be trained on, but {len(failed)} failed twice, as "
        f"{uid}: {error}; those of the others are kept, preprocess these again or leave them out, and train again"
    )
