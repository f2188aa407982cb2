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
from lidcflow.config.science import FinetuneConfig
from lidcflow.errors import EngineError, ResourceError, TrainingError, WeightsError
from lidcflow.learn.augment import variation_of
from lidcflow.learn.engines import load_engine
from lidcflow.learn.features import FeatureReader, FeatureSource, keep_features, volume_features
from lidcflow.learn.snapshot import Snapshot
from lidcflow.store.volumes import VolumeStore
from tasks.cluster.open import map_series
from tasks.progress import Stage, stage
from tasks.snapshot import TrainingPlan

VOLUMES_ON_GPU = 8
"""Default volumes in one pass on a GPU: 520 slices of 128 x 128 take some 5 GiB through a ResNet-50."""


def features_of_plan(plan: TrainingPlan, address: str) -> None:
    """Compute the features that a training lacks: of every series, and of the views of its training patients.

    Raises
    ------
    TrainingError
        If a series ends without features.
    EngineError, WeightsError, ResourceError
        If no series can have any.
    """
    compute_features(plan.series_uids, plan.backbone.id, plan.config, address)
    views = range(1, len(plan.config.train.view_names) + 1)
    training = Snapshot.load(plan.snapshot_path).rows("train")["series_instance_uid"].unique() if views else ()
    for view in views:
        feature_id = view_id(plan.backbone.id, plan.config.train.finetune, view)
        compute_features(map(str, training), feature_id, plan.config, address, view=view)


def view_id(feature_id: str, finetune: FinetuneConfig, view: int) -> str:
    """Name the features of a view, from 1."""
    return f"{feature_id}-{finetune.view_name(view)}"


@task(task_run_name="features of {feature_id}", cache_policy=NO_CACHE)
def compute_features(uids: Iterable[str], feature_id: str, config: Config, address: str, view: int = 0) -> int:
    """Compute the features that the store lacks; return how many series lacked them.

    A series that fails is tried once more by itself, and costs the others nothing: their features are kept. Features
    that are not numbers, or not of the shape that most have, count as lacking.

    Parameters
    ----------
    uids : iterable of str
        Stored series.
    feature_id : str
        Names the features.
    config : Config
        What computes them, and where the store is.
    address : str
        Of the cluster.
    view : int
        Variation of the slices that they are of; 0: the slices as they are.

    Raises
    ------
    TrainingError
        If a series ends without features.
    EngineError, WeightsError, ResourceError
        If no series can have any: the backbone or its engine are not usable, or the store is full.
    """
    store = VolumeStore.of(config)
    lacking = _lacking(store, list(uids), feature_id, has_maps=config.train.mode == "finetune")
    work = functools.partial(feature_pass, config=config, view=view)
    with stage("features", total=len(lacking)) as progress:
        failed = _computed(passes(lacking, config.cluster), work, address, progress, window=config.cluster.window)
        failed = _computed([(uid,) for uid in failed], work, address, progress, window=config.cluster.window)
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


def feature_source(config: Config, feature_id: str) -> FeatureSource:
    """Return where a training reads the features of its slices, and of their views."""
    store, views = VolumeStore.of(config), range(1, len(config.train.view_names) + 1)
    return FeatureSource(
        read=feature_reader(store, feature_id),
        views=tuple(feature_reader(store, view_id(feature_id, config.train.finetune, view)) for view in views),
        size=config.preprocess.size,
    )


def feature_reader(store: VolumeStore, feature_id: str) -> FeatureReader:
    """Return a function from a SeriesInstanceUID, and a range of slices, to its stored features.

    It raises `TrainingError` when the store lacks them, or has some that can't be trained on.
    """
    shapes: dict[str, tuple[int, ...]] = {}

    def read(uid: str, slices: range | None = None) -> NDArray[np.float16]:
        wanted = slices if slices is None else slice(slices.start, slices.stop)
        features = store.read_features(uid, feature_id, wanted)
        if features is None:
            raise TrainingError(
                f"series {uid}: must have the features {feature_id}, got none or damaged ones; "
                "run lidcflow repair --verify, and train again to make them"
            )
        rows = store.config.slices if slices is None else len(slices)
        expected = (rows, *shapes.setdefault("of a slice", features.shape[1:]))
        if not _is_trainable(features, expected):
            got = f"{features.shape} with {int((~np.isfinite(features)).sum())} that are not"
            raise TrainingError(
                f"series {uid}: features {feature_id} must be numbers in the shape {expected}, got {got}; "
                "train again to make them anew, or check the backbone's weight file"
            )
        return features

    return read


def feature_pass(uids: Sequence[str], config: Config, view: int = 0) -> None:
    """Compute the features of stored volumes, or of a view of them, in one pass and commit them."""
    engine = load_engine(config.train, config.preprocess.size)
    store = VolumeStore.of(config)
    records = [store.record(uid) for uid in uids]
    volumes_hu = [store.read_hu(uid) for uid in uids]
    feature_id = engine.backbone.id
    if view:
        seen = zip(volumes_hu, uids, strict=True)
        volumes_hu = [variation_of(hu, uid, view, config.train.finetune) for hu, uid in seen]
        feature_id = view_id(feature_id, config.train.finetune, view)
    for record, features in zip(records, volume_features(engine, volumes_hu), strict=True):
        keep_features(store, record, features, engine, feature_id=feature_id)


def lacking_features(store: VolumeStore, uids: Sequence[str], feature_id: str) -> list[str]:
    """List the stored series whose features of this name were not computed yet; features are not read."""
    first = store.each_features(uids, feature_id, slice(0, 1))
    return [uid for uid, features in zip(uids, first, strict=True) if features is None]


def _lacking(store: VolumeStore, uids: Sequence[str], feature_id: str, *, has_maps: bool) -> list[str]:
    """List the series without features, or with some that can't be trained on together with the others'.

    Activation maps are a hundred times as large: whether they are there is all that is looked at.
    """
    if has_maps:
        return lacking_features(store, uids, feature_id)
    shapes = dict(zip(uids, map(_shape, store.each_features(uids, feature_id)), strict=True))
    usual = Counter(shape for shape in shapes.values() if shape and shape[0] == store.config.slices)
    wanted = usual.most_common(1)[0][0] if usual else None
    return [uid for uid, shape in shapes.items() if shape is None or shape != wanted]


def _shape(features: NDArray[np.float16] | None) -> tuple[int, ...] | None:
    """Return the shape of features; None where there are none, or some are not numbers."""
    return features.shape if features is not None and _is_trainable(features, features.shape) else None


def _is_trainable(features: NDArray[np.float16], shape: tuple[int, ...]) -> bool:
    return features.shape == shape and bool(np.isfinite(features).all())


def _computed(
    groups: Sequence[tuple[str, ...]],
    work: Callable[[Sequence[str]], None],
    address: str,
    progress: Stage,
    *,
    window: int,
) -> dict[str, Exception]:
    """Run the passes on the cluster and return what kept series from their features."""
    failed: dict[str, Exception] = {}
    for uids, outcome in map_series(address, work, groups, window=window):
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
