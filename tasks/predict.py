"""Probabilities of stored series from sector models, on the cluster: Keras stays out of the flow's process."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from prefect import task
from prefect.cache_policies import NO_CACHE

from lidcflow.config import Config
from lidcflow.errors import ReleaseError
from lidcflow.learn.folds import fold_snapshots
from lidcflow.learn.predict import member_probabilities, series_probabilities
from lidcflow.learn.snapshot import Snapshot
from lidcflow.nodules.scored import ScoredCandidates
from lidcflow.release.answer import findings_alone, joined_answers
from lidcflow.release.record import ReleaseRecord, sector_model_name
from lidcflow.store.volumes import VolumeStore
from tasks.candidate_scores import best_by_series, score_stored, unlike_training_scores
from tasks.cluster.open import map_series
from tasks.features import feature_reader, feature_source
from tasks.fit_sector import fit_sector
from tasks.progress import stage
from tasks.sector import ALL_SECTORS
from tasks.tracking import registry
from tasks.tracking.connection import Tracking
from tasks.tracking.sector_models import SectorModel, load_sectors, sectors_of

BATCH = 64
"""Series of one task on the cluster: models are loaded once for all of them."""

Probabilities = NDArray[np.float64]
Uids = tuple[str, ...]

Members = Mapping[str, int]
"""Fold that answers for each series, by SeriesInstanceUID, see `lidcflow.learn.folds.members_by_series`."""

NO_FOLDS: Members = {}


@dataclass(frozen=True, eq=False)
class ReleaseAnswers:
    """Predictions of a release for stored series, together and in its parts.

    Parameters
    ----------
    release, sectors : (series, slices, 3) arrays
        Of the release, and of its sector models alone.
    findings : (series, slices, 3) array, optional
        Of its findings and the height in the chest alone; None for a release without findings.
    scored : dict of str to ScoredCandidates
        The candidates of the series that were searched, by SeriesInstanceUID.
    """

    release: Probabilities
    sectors: Probabilities
    findings: Probabilities | None
    scored: Mapping[str, ScoredCandidates]


@task(name="predict", cache_policy=NO_CACHE)
def answer_in_parts(
    release: ReleaseRecord,
    uids: Uids,
    config: Config,
    address: str,
    unlike: NDArray[np.bool_] | None = None,
    members: Members = NO_FOLDS,
) -> ReleaseAnswers:
    """Predict every series with the release, in their order.

    Parameters
    ----------
    release : ReleaseRecord
        With sector models, and a detector or none.
    uids : tuple of str
        Stored series.
    config : Config
        Where they are.
    address : str
        Of the cluster.
    unlike : (series,) array of bool, optional
        Which are unlike those of training, so that the embedded release answers; by default none.
    members : mapping of str to int, optional
        In a cross-validation, the fold that answers for each series, from 0; by default all folds together.
    """
    models, feature_id = sectors_of(release), release.backbone.id
    work = functools.partial(predict_series, models=models, config=config, feature_id=feature_id, members=members)
    batches = [uids[start : start + BATCH] for start in range(0, len(uids), BATCH)]
    own, pin = _on_cluster(address, work, batches, "predict"), release.nodules
    if pin is None:
        return ReleaseAnswers(own, own, None, {})
    scored = score_stored(pin, uids, config, address)
    best = best_by_series(scored, uids, config)
    others = unlike_training_scores(unlike, uids, config, address)
    pins = [(release.folds[members[uid]].nodules if members else None) or pin for uid in uids]
    findings = np.concatenate([findings_alone(one, [found]) for one, found in zip(pins, best, strict=True)])
    return ReleaseAnswers(joined_answers(pins, own, best, others), own, findings, scored)


@task(name="predict", cache_policy=NO_CACHE)
def predict_release(
    release: ReleaseRecord, uids: Uids, config: Config, address: str, members: Members = NO_FOLDS
) -> Probabilities:
    """Predict every series with the release: (studies, slices, 3), in their order."""
    return answer_in_parts.fn(release, uids, config, address, None, members).release


@task(name="predict-globally", cache_policy=NO_CACHE)
def predict_globally(
    release: ReleaseRecord,
    uids: Uids,
    snapshot: Snapshot,
    config: Config,
    address: str,
    members: Members = NO_FOLDS,
) -> Probabilities:
    """Predict with one model of the whole chest: the one of the release's own training, else one fitted now."""
    if release.sector_num == 1:
        alone = release.model_copy(update={"nodules": None})
        return answer_in_parts.fn(alone, uids, config, address, None, members).sectors
    slices, name = (
        release.preprocess.slices,
        sector_model_name(release.name, ALL_SECTORS.sector_num, ALL_SECTORS.sector),
    )
    tracking = Tracking.of(config)
    version = registry.version_of_training(tracking, name, registry.training_of(tracking, release.version))
    if version is None:
        feature_id = release.backbone.id
        fit = functools.partial(
            fit_and_predict, snapshot=snapshot, config=config, feature_id=feature_id, members=members
        )
        return _on_cluster(address, fit, [uids], "fit")
    sha256 = registry.digest_of_version(tracking, name, version)
    if release.pinned and not sha256:
        raise ReleaseError(
            f"model models:/{name}/{version}: its digest must be kept like those of release version {release.version}, "
            f"got none; run `lidcflow releases {release.version} --pin`"
        )
    whole = (SectorModel(start=0, stop=slices, uri=f"models:/{name}/{version}", sha256=sha256),)
    feature_id = release.backbone.id
    work = functools.partial(predict_series, models=whole, config=config, feature_id=feature_id, members=members)
    return _on_cluster(address, work, [uids], "predict")


def predict_series(
    uids: Uids, models: tuple[SectorModel, ...], config: Config, feature_id: str, members: Members = NO_FOLDS
) -> Probabilities:
    """Load the models and let them answer for a batch of series."""
    read, loaded = feature_reader(VolumeStore.of(config), feature_id), load_sectors(models, Tracking.of(config))
    if members:
        return member_probabilities(loaded, uids, [members[uid] for uid in uids], read)
    return series_probabilities(loaded, uids, read)


def fit_and_predict(
    uids: Uids, snapshot: Snapshot, config: Config, feature_id: str, members: Members = NO_FOLDS
) -> Probabilities:
    """Fit one head to all slices as the training would have, in a cross-validation one a fold, and let it answer."""
    whole, source = range(config.preprocess.slices), feature_source(config, feature_id)
    if not members:
        trained = fit_sector(ALL_SECTORS, snapshot, source, config)
        return series_probabilities([(whole, trained.model)], uids, source.read)
    answers: dict[str, Probabilities] = {}
    for fold, of_fold in enumerate(fold_snapshots(snapshot, config.train.folds or 0, config.split.seed)):
        if chosen := [uid for uid in uids if members[uid] == fold]:
            trained = fit_sector(ALL_SECTORS, of_fold, source, config)
            found = series_probabilities([(whole, trained.model)], chosen, source.read)
            answers |= dict(zip(chosen, found, strict=True))
    return np.stack([answers[uid] for uid in uids])


def _on_cluster(
    address: str, work: Callable[[Uids], Probabilities], batches: Sequence[Uids], name: str
) -> Probabilities:
    answers: dict[Uids, Probabilities] = {}
    with stage(name, total=len(batches)) as progress:
        for batch, outcome in map_series(address, work, batches, window=1):
            if isinstance(outcome, Exception):
                raise outcome
            answers[batch] = outcome
            progress.advance()
    return np.concatenate([answers[batch] for batch in batches])
