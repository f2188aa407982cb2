"""Which release reads new studies: the configured one, or the embedded one where none was ever trained."""

from __future__ import annotations

from lidcflow.config import Config
from lidcflow.release.embedded import embedded_release
from lidcflow.release.pins import EMBEDDED
from lidcflow.release.record import ReleaseRecord
from tasks.tracking.place import Tracking
from tasks.tracking.record import CHAMPION
from tasks.tracking.releases import list_releases, load_release


def configured_release(config: Config) -> ReleaseRecord:
    """Return the release that `infer.release` names: ``embedded``, or one of the registry.

    Raises
    ------
    ReleaseError
        If there is no such release, or it is incomplete, or its record can't be read or has changed.
    TrackingUnavailable
        If the MLflow server does not answer.
    WeightsError
        If the files of the embedded detector are missing or damaged.
    """
    if config.infer.release == EMBEDDED:
        return embedded_release(config.preprocess)
    return load_release(Tracking.of(config), config.infer.release)


def release_in_force(config: Config) -> ReleaseRecord:
    """Return the configured release; the embedded one stands for a champion where no release was ever made.

    If releases exist and none is the champion, this is an error: the release that answers must not change unnoticed.

    Raises
    ------
    ReleaseError, TrackingUnavailable, WeightsError
        As `configured_release`.
    """
    if config.infer.release == CHAMPION and not list_releases(Tracking.of(config)):
        return embedded_release(config.preprocess)
    return configured_release(config)
