"""Compare what inference read lately with what its release was made on, and leave a page."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel

from flows.config import ParameterHelp, Settings, resolve_config
from flows.flow import flow
from lidcflow.config import Config
from lidcflow.drift.check import check_drift
from lidcflow.drift.page import write_drift
from lidcflow.drift.profile import Profile
from lidcflow.drift.record import DriftCheck
from lidcflow.release.record import ReleaseRecord
from lidcflow.store.address import training_store
from tasks.cluster.open import cluster_for
from tasks.drift import announce_drift, read_recent
from tasks.features import compute_features
from tasks.held_out import config_of_release, lacking_features, load_snapshot
from tasks.profile import check_volumes, keep_profile, profiled_series
from tasks.progress import listening
from tasks.publish import ProgressArtifact
from tasks.run_page import name_run
from tasks.tracking import registry
from tasks.tracking.connection import Tracking
from tasks.tracking.profiles import find_profile


class DriftReport(BaseModel):
    """The result of a check, and the page that shows it."""

    check: DriftCheck
    page: Path
    seconds: float
    notice: str = "Research use only."


@flow(name="drift")
def drift(
    config: Settings = None,
    release: Annotated[
        str | None, ParameterHelp("Version or alias; nothing: the one that inference reads with.")
    ] = None,
    out: Annotated[Path | None, ParameterHelp("Folder of the page; nothing: the day's in the reports.")] = None,
) -> DriftReport:
    """Compare what was read lately with what a release was trained on.

    Parameters
    ----------
    config : Config, optional
        Settings over those of the worker.
    release : str, optional
        Version or alias; by default the one that inference reads with.
    out : Path, optional
        Folder of the page.
    """
    started_s, now, config = time.monotonic(), datetime.now(UTC), resolve_config(config)
    record = registry.load_release(Tracking.of(config), release or config.infer.release)
    name_run(f"drift from {record.name} version {record.version}", config)
    profile = profile_for(record, config)
    with listening(ProgressArtifact()):
        recent = read_recent(record, config, now - timedelta(days=config.drift.days))
    check = check_drift(record, profile, recent, config.drift, now)
    page = write_drift(check, (out or config.drift_path / f"{now:%Y-%m-%d}").absolute())
    announce_drift(check)
    return DriftReport(check=check, page=page, seconds=round(time.monotonic() - started_s, 3))


def profile_for(record: ReleaseRecord, config: Config) -> Profile:
    """Return the profile of a release, making it from the snapshot if its training kept none.

    Raises
    ------
    ReleaseError, TrainingError
        If there is none, and the snapshot or its volumes are no longer those of the training.
    """
    tracking = Tracking.of(config)
    if known := find_profile(record.version, tracking):
        return known
    trained = config_of_release(record, config)
    snapshot = load_snapshot(record, trained, registry.training_of(tracking, record.version))
    uids = list({uid: None for series in profiled_series(snapshot, folds=bool(record.folds)) for uid in series})
    check_volumes(record, snapshot, uids, training_store(trained).open())
    lacking = lacking_features(record, uids, trained)
    with (
        listening(ProgressArtifact()),
        cluster_for(config, "read", training_store(config)) as cluster,
    ):
        if lacking:
            compute_features(lacking, record.backbone.id, trained, cluster.address)
        return keep_profile(record, snapshot, trained, cluster.address)
