"""Score the slices of a series with the sector models of a release, and compare the series with the training data."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from lidcflow.config import Config
from lidcflow.drift.measures import mean_features, measure_series
from lidcflow.drift.outlying import NO_PROFILE, distance_ratio, warnings_of
from lidcflow.learn.backbones import describe_backbone
from lidcflow.learn.engines import load_engine
from lidcflow.learn.features import keep_features, volume_features
from lidcflow.learn.plain_compact import plain_engine
from lidcflow.learn.predict import release_probabilities
from lidcflow.release.record import ReleaseRecord
from lidcflow.report.pixel_warnings import pixel_warnings
from lidcflow.report.recommendation import SeriesWarning
from lidcflow.stats.widening import widen
from lidcflow.store.volumes import VolumeRecord, VolumeStore
from tasks.findings import SliceScores
from tasks.tracking.place import Tracking
from tasks.tracking.profiles import release_limits
from tasks.tracking.sector_models import load_model


def score_slices(
    release: ReleaseRecord,
    store: VolumeStore,
    record: VolumeRecord,
    hu: Any,
    config: Config,
    *,
    plain: bool = False,
) -> SliceScores:
    """Return what the sector models say of each slice; a release without them needs no features.

    With `plain`, features are computed without Keras where that can be done, and are not kept.
    """
    if not release.sectors:
        return SliceScores(None, pixel_warnings(record))
    features, tracking = _features(store, record, hu, config, plain=plain), Tracking.of(config)
    sectors = list(zip([pin.slices for pin in release.sectors], _models(release, tracking), strict=True))
    probabilities = release_probabilities(sectors, features[None])[0]
    known = release_limits(release.version, tracking)
    if known is None:
        return SliceScores(probabilities, (*pixel_warnings(record), NO_PROFILE))
    facts = measure_series(record, hu[0]), mean_features(features)
    warnings = (*pixel_warnings(record), *warnings_of(*facts, known))
    return widen_scores(release, SliceScores(probabilities, warnings), distance_ratio(*facts, known))


def load_release_models(release: ReleaseRecord, config: Config) -> None:
    """Load the network and the sector models of a release, so that the first series need not wait for them."""
    load_engine(config.train, config.preprocess.size)
    _models(release, Tracking.of(config))


def widen_scores(release: ReleaseRecord, scores: SliceScores, ratio: float) -> SliceScores:
    """Draw the probabilities of a series that is unlike training towards the natural shares of the classes.

    Heads are about linear, so that far from training their logits grow with the distance: they are divided by it.

    Parameters
    ----------
    release : ReleaseRecord
        Its validation patients have the natural shares. One that reads candidates has no use for such probabilities
        (see `tasks.findings`): they stay as they are.
    scores : SliceScores
        By the sector models.
    ratio : float
        How many times as far from training as a series may be, see `lidcflow.drift.outlying.distance_ratio`.
    """
    if release.nodules or ratio <= 1 or scores.probabilities is None:
        return scores
    probabilities = widen(scores.probabilities, _natural_shares(release), ratio)
    return SliceScores(probabilities, (*scores.warnings, _widened(ratio)))


def _natural_shares(release: ReleaseRecord) -> list[float]:
    """Return the shares of the classes, each class with one slice more, so that none is impossible."""
    counts = release.metrics["validation"].slices
    return [(n + 1) / (counts.total + 3) for n in (counts.non_nodule, counts.benign, counts.malignant)]


def _widened(ratio: float) -> SeriesWarning:
    return SeriesWarning(
        code="probabilities-widened",
        sentence=f"It is {ratio:.1f} times as far from the training series as such a series may be, so the "
        "probabilities were drawn towards the share of slices with a nodule in training: the release knows little of "
        "these images, and a slice below its threshold may hold a nodule.",
    )


def _features(store: VolumeStore, record: VolumeRecord, hu: Any, config: Config, *, plain: bool) -> Any:
    """Return the volume's features, computing them when the store lacks them, and keeping all but maps."""
    feature_id = describe_backbone(config.train, config.preprocess.size).id
    features = store.read_features(record.series_instance_uid, feature_id)
    if features is None and plain and (own := plain_engine(config.train, config.preprocess.size)):
        (features,) = volume_features(own, [hu])
    elif features is None:
        engine = load_engine(config.train, config.preprocess.size)
        (features,) = volume_features(engine, [hu])
        if features.ndim == 2:  # maps take more room than the volume, and a series is read once by a release
            keep_features(store, record, features, engine, feature_id=feature_id)
    return features


@functools.lru_cache(maxsize=2)
def _load_models(digests: tuple[tuple[str, str], ...], tracking: Tracking) -> dict[str, Any]:
    """Load models by their URIs, each checked against its SHA-256."""
    return {uri: load_model(tracking, uri, sha256, plain=True) for uri, sha256 in dict.fromkeys(digests)}


def _models(release: ReleaseRecord, tracking: Tracking) -> Iterator[Any]:
    """Yield the model of each sector, loaded once in a process."""
    loaded = _load_models(tuple((pin.uri, pin.sha256) for pin in release.sectors), tracking)
    return (loaded[pin.uri] for pin in release.sectors)
