"""Run a release on one stored series, in this process and without Prefect."""

from __future__ import annotations

from importlib import import_module
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lidcflow.config import Config
from lidcflow.errors import ReleaseError, StoreMismatch, WeightsError
from lidcflow.learn.backbones import describe_backbone
from lidcflow.learn.backend import require_backend_for
from lidcflow.learn.engines import require_engine
from lidcflow.release.record import ReleaseRecord
from lidcflow.report.page import Patches
from lidcflow.report.pixel_warnings import pixel_warnings
from lidcflow.report.rank import recommend
from lidcflow.report.recommendation import Recommendation
from lidcflow.store.address import inbox_store
from lidcflow.store.volumes import VolumeRecord, VolumeStore
from tasks.findings import SliceScores, detector_of, join_candidates, systems_of
from tasks.tracking.place import Tracking


class Inferred(NamedTuple):
    """The answer of a release for one series, and what its page shows.

    Parameters
    ----------
    recommendation : Recommendation
        Slices and findings to look at.
    hu : (2, slices, rows, columns) array of int16
        The volume, channels ``mean`` and ``max``.
    planes : mapping of int to (3, rows, columns) array of int16
        Planes through each finding in HU, by the finding's rank.
    """

    recommendation: Recommendation
    hu: NDArray[np.int16]
    planes: Patches


def infer_stored(uid: str, release: ReleaseRecord, config: Config, *, plain: bool = False) -> Inferred:
    """Run a release on one volume of the inbox store.

    Parameters
    ----------
    uid : str
        SeriesInstanceUID of a stored volume.
    release : ReleaseRecord
        The release.
    config : Config
        From `config_for`.
    plain : bool
        Whether to do without Keras where that can be done: features are the same within 1e-5 of what tells slices
        apart, and are not kept.

    Raises
    ------
    StoreError
        If the series is not in the store.
    ReleaseError
        If models of the release are missing or have changed.
    """
    store = inbox_store(config).open()
    record, hu = store.record(uid), store.read_hu(uid)
    scores = _score_slices(release, store, record, hu, config, plain=plain)
    read = join_candidates(release, store, record, scores, Tracking.of(config))
    said = recommend(read.probabilities, record, release.facts(), config.infer, read.warnings, read.findings)
    return Inferred(said, hu, read.planes)


def _score_slices(
    release: ReleaseRecord,
    store: VolumeStore,
    record: VolumeRecord,
    hu: NDArray[np.int16],
    config: Config,
    *,
    plain: bool,
) -> SliceScores:
    """Score the slices with the release's sector models; what that takes is imported only where there are any."""
    if not release.sectors:
        return SliceScores(None, pixel_warnings(record))
    scores: SliceScores = import_module("tasks.sector_scores").score_slices(
        release, store, record, hu, config, plain=plain
    )
    return scores


def config_for(release: ReleaseRecord, config: Config) -> Config:
    """Return the configuration that reads as the release was trained.

    Raises
    ------
    ReleaseError
        If the store holds volumes of another preprocessing, or the backbone or the detector at hand is not the
        release's.
    WeightsError
        If the weight file of the backbone, of the detector or of a system that says what findings are is missing.
    EngineError
        If the engine that the release's features are computed with is not installed.
    """
    local = {key: getattr(config.train, key) for key in ("backbone_weights", "backbone_sha256")}
    if release.train.images:
        local["backbone_sha256"] = release.backbone.digest
    same_kind = config.train.backbone == release.backbone.kind
    train = release.train.model_copy(update=local if same_kind else {})
    reading = config.model_copy(update={"preprocess": release.preprocess, "train": train})
    _check_store(release, reading)
    if release.sectors:
        _check_backbone(release, reading)
        require_engine(reading.train.engine)
        require_backend_for(reading)
    if release.nodules:
        detector_of(release.nodules, Tracking.of(config))
        systems_of(release.nodules, Tracking.of(config))
    return reading


def _check_store(release: ReleaseRecord, config: Config) -> None:
    store = inbox_store(config)
    if not store.exists():
        return
    try:
        store.open()
    except StoreMismatch:
        raise ReleaseError(
            f"release {release.name} version {release.version}: it reads volumes of the preprocessing "
            f"{release.preprocess_digest[:12]}, but the store {store.root} holds others; "
            "choose a release that reads them, or set another inbox_store"
        ) from None


def _check_backbone(release: ReleaseRecord, config: Config) -> None:
    if config.train.images and config.train.backbone_weights is None:
        raise WeightsError(
            f"release {release.name} version {release.version}: its backbone, the {release.backbone.kind} file with "
            f"SHA-256 {release.backbone.digest}, must be at hand, got none; set train.backbone and [train.images] "
            "as it was trained, and train.backbone_weights to the file"
        )
    here = describe_backbone(config.train, config.preprocess.size)
    if here.digest != release.backbone.digest or here.id != release.backbone.id:
        raise ReleaseError(
            f"release {release.name} version {release.version}: its backbone must be {release.backbone.id}, "
            f"got {here.id}; set train.backbone_weights to the release's weight file, or train again"
        )
