"""The profile of a release: made when it is trained and kept on the run of its training."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from lidcflow.config import Config
from lidcflow.drift.measures import Measured, mean_features, measure_series
from lidcflow.drift.outlying import ReferenceLimits, warnings_of
from lidcflow.drift.profile import MOST_PATIENTS, Profile, profile_of
from lidcflow.errors import ReleaseError
from lidcflow.learn.folds import members_by_series
from lidcflow.learn.snapshot import Snapshot
from lidcflow.learn.splits import Split
from lidcflow.release.record import ReleaseRecord
from lidcflow.store.volumes import VolumeStore
from tasks.cluster.open import map_series
from tasks.features import feature_reader
from tasks.findings import is_unlike
from tasks.predict import predict_release
from tasks.progress import stage
from tasks.tracking import registry
from tasks.tracking.connection import Tracking
from tasks.tracking.profiles import FILE, limits_of
from tasks.tracking.runs import run_of

BATCH = 16
"""Series of one task on the cluster: each takes some 20 ms."""

Facts = tuple[Measured, NDArray[np.float32]]


def measure_training(
    snapshot: Snapshot, backbone_id: str, config: Config, address: str, *, folds: bool
) -> dict[str, Facts]:
    """Measure on the cluster the training series that the profile of a release is made of."""
    training, _ = profiled_series(snapshot, folds=folds)
    return _measured(tuple(training), backbone_id, config, address)


@task(task_run_name="profile of {release.name} version {release.version}", cache_policy=NO_CACHE)
def keep_profile(
    release: ReleaseRecord, snapshot: Snapshot, config: Config, address: str, facts: Mapping[str, Facts] | None = None
) -> Profile:
    """Score the validation series with a release, and keep the profile of validation and training series on its run.

    In a cross-validation all patients are training patients, and the fold that did not see a patient scores the series.

    Parameters
    ----------
    release : ReleaseRecord
        A new one.
    snapshot : Snapshot
        Of its training.
    config : Config
        Where volumes and features are.
    address : str
        Of the Dask scheduler.
    facts : mapping of str to Facts, optional
        What `measure_training` found; measured here where they are not given.
    """
    training, held_out = profiled_series(snapshot, folds=bool(release.folds))
    facts = facts or measure_training(snapshot, release.backbone.id, config, address, folds=bool(release.folds))
    members = members_by_series(snapshot, "test", len(release.folds), release.split.seed)
    answers = predict_release.fn(release, tuple(held_out), config, address, members)
    measured = [(training[uid], *facts[uid]) for uid in training]
    scores, malignant = answers[..., 1:].sum(axis=-1), answers[..., 2].max(axis=-1)
    profile = profile_of(release, measured, list(held_out.values()), scores, malignant)
    tracking = Tracking.of(config)
    run = run_of(tracking, registry.training_of(tracking, release.version))
    text = profile.model_dump_json()
    run.text(text, FILE)
    registry.keep_profile_digest(tracking, release.version, hashlib.sha256(text.encode()).hexdigest())
    return profile


def profiled_series(snapshot: Snapshot, *, folds: bool) -> tuple[dict[str, str], dict[str, str]]:
    """Return the training and the validation series of a release's profile; with folds both are all of them."""
    if folds:
        return _patients_of(snapshot.table), _patients_of(snapshot.table)
    return patients_of(snapshot, "train"), patients_of(snapshot, "validation")


def unlike_series(facts: Sequence[Facts], known: ReferenceLimits) -> NDArray[np.bool_]:
    """Return which series are unlike those of training, so that the release's own models have no say on them."""
    return np.array([is_unlike(warnings_of(measured, features, known)) for measured, features in facts], dtype=bool)


def unlike_training(
    release: ReleaseRecord, uids: Sequence[str], config: Config, address: str
) -> NDArray[np.bool_] | None:
    """Return which stored series are unlike those of training; None where nothing depends on it or it is unknown."""
    known = limits_of(release, Tracking.of(config)) if release.nodules else None
    if known is None:
        return None
    facts = _measured(tuple(uids), release.backbone.id, config, address)
    return unlike_series([facts[uid] for uid in uids], known)


def check_volumes(release: ReleaseRecord, snapshot: Snapshot, uids: Sequence[str], store: VolumeStore) -> None:
    """Check that stored volumes are those of a snapshot.

    Raises
    ------
    ReleaseError
        If one has changed since.
    StoreError
        If one is gone.
    """
    digests = snapshot.table.groupby("series_instance_uid")["volume_digest"].first()
    for record in store.summaries(uids):
        if record.volume_digest != digests[record.series_instance_uid]:
            raise ReleaseError(
                f"release {release.name} version {release.version}: the volume of series {record.series_instance_uid} "
                "must be the one that it was trained with, got another; train again"
            )


def patients_of(snapshot: Snapshot, split: Split) -> dict[str, str]:
    """Return the patient key of each series of a split, of at most `MOST_PATIENTS`.

    Keys are hashes: the first ones in their order are a random choice, and the same each time.
    """
    return _patients_of(snapshot.rows(split))


def _patients_of(rows: pd.DataFrame) -> dict[str, str]:
    keys = rows.groupby("series_instance_uid", sort=True)["patient_key"].first()
    chosen = set(sorted(keys.unique())[:MOST_PATIENTS])
    return {str(uid): str(key) for uid, key in keys.items() if key in chosen}


def measure_stored(uids: tuple[str, ...], feature_id: str, config: Config) -> list[Facts]:
    """Measure stored series, each with its features averaged over the slices."""
    store = VolumeStore.of(config)
    read = feature_reader(store, feature_id)
    return [(measure_series(store.record(uid), store.read_hu(uid)[0]), mean_features(read(uid))) for uid in uids]


def _measured(uids: tuple[str, ...], feature_id: str, config: Config, address: str) -> dict[str, Facts]:
    work = functools.partial(measure_stored, feature_id=feature_id, config=config)
    batches = [uids[start : start + BATCH] for start in range(0, len(uids), BATCH)]
    facts: dict[str, Facts] = {}
    with stage("profile", total=len(uids)) as progress:
        for batch, outcome in map_series(address, work, batches, window=2):
            if isinstance(outcome, Exception):
                raise outcome
            facts |= dict(zip(batch, outcome, strict=True))
            progress.advance(len(batch))
    return facts
