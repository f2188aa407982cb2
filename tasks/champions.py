"""The releases that a new one must not fall behind, and what they say of its validation patients."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from lidcflow.errors import ReleaseError
from lidcflow.learn.folds import members_by_series
from lidcflow.learn.predict import members_of, release_probabilities
from lidcflow.learn.snapshot import Snapshot
from lidcflow.release.answer import UnlikeTraining, joined_answers
from lidcflow.release.embedded import embedded_pin
from lidcflow.release.gate import why_not_comparable
from lidcflow.release.record import ReleaseRecord
from lidcflow.release.rules import Champion
from lidcflow.store.volumes import VolumeStore
from tasks.candidate_scores import NO_EVIDENCE, Evidence
from tasks.profile import measure_stored, unlike_series
from tasks.snapshot import TrainingPlan
from tasks.tracking import registry
from tasks.tracking.connection import Tracking
from tasks.tracking.profiles import limits_of
from tasks.tracking.sector_models import load_sectors, sectors_of


def champions_of(plan: TrainingPlan) -> tuple[ReleaseRecord, ...]:
    """Return the release in force, if there is one, and the best earlier champion that can be compared with it."""
    tracking = Tracking.of(plan.config)
    version = registry.champion_version(tracking)
    if version is None:
        return ()
    in_force = registry.load_release(tracking, str(version))
    earlier = _comparable(plan, version) if plan.config.gate.best_ever else []
    return (in_force, *sorted(earlier, key=_auroc)[-1:])


def score_champion(
    record: ReleaseRecord, plan: TrainingPlan, uids: Sequence[str], evidence: Evidence = NO_EVIDENCE
) -> Champion:
    """Predict the validation series with a champion; with the same split, it was trained on none of them.

    A cross-validated champion answers with the models of the fold that has the patient in validation.

    Parameters
    ----------
    record : ReleaseRecord
        The champion.
    plan : TrainingPlan
        Of the new release.
    uids : sequence of str
        The validation series.
    evidence : Evidence
        What detectors say of them, that of the champion among them.
    """
    why_not = why_not_comparable(record, plan.config, plan.snapshot_digest, plan.backbone.id, plan.synthetic)
    if not why_not and record.nodules and record.nodules.key not in evidence:
        why_not = (
            f"the detector of version {record.version}, {record.nodules.sha256[:12]}, must be at hand to compare with "
            "it, but is not; judge it by hand, then `lidcflow promote VERSION --force --reason ...`"
        )
    store = VolumeStore.of(plan.config)
    features = [] if why_not else [store.read_features(uid, record.backbone.id) for uid in uids]
    found = [one for one in features if one is not None]
    if len(found) < len(features):
        why_not = (
            f"every validation series must have the features of version {record.version}, {record.backbone.id}, but "
            "some lack them; judge it by hand, then `lidcflow promote VERSION --force --reason ...`"
        )
    if why_not:
        return Champion(version=record.version, probabilities=None, why_not=why_not)
    members = _members(record, plan, uids)
    own = _own_answers(record, np.stack(found), members, plan)
    return Champion(version=record.version, probabilities=_champion_answers(record, own, uids, plan, evidence))


def _members(record: ReleaseRecord, plan: TrainingPlan, uids: Sequence[str]) -> list[int]:
    """Return the fold of a cross-validated champion that has each series in validation; no folds, an empty list."""
    if not record.folds:
        return []
    snapshot = Snapshot.load(plan.snapshot_path)
    members = members_by_series(snapshot, "validation", len(record.folds), record.split.seed)
    return [members[uid] for uid in uids]


def _own_answers(
    record: ReleaseRecord, features: NDArray[np.floating], members: Sequence[int], plan: TrainingPlan
) -> NDArray[np.float64]:
    """Predict with the sector models; in a cross-validated champion with those that did not see the patient."""
    models = load_sectors(sectors_of(record), Tracking.of(plan.config))
    if not record.folds:
        return release_probabilities(models, features)
    parts = [
        release_probabilities(members_of(models, member), one[None])
        for member, one in zip(members, features, strict=True)
    ]
    return np.concatenate(parts)


def _champion_answers(
    record: ReleaseRecord, own: NDArray[np.float64], uids: Sequence[str], plan: TrainingPlan, evidence: Evidence
) -> NDArray[np.float64]:
    """Join a champion's sector models with its findings, as inference with it does."""
    pin = record.nodules
    if pin is None:
        return own
    members = _members(record, plan, uids)
    pins = [record.folds[member].nodules for member in members] or [pin] * len(uids)
    limits = limits_of(record, Tracking.of(plan.config))
    unlike = unlike_series(measure_stored(tuple(uids), record.backbone.id, plan.config), limits) if limits else None
    others = None
    if unlike is not None and unlike.any():
        embedded = embedded_pin(own.shape[1])
        others = UnlikeTraining(unlike, embedded, evidence[embedded.key].best_of(uids))
    return joined_answers(pins, own, evidence[pin.key].best_of(uids), others)


def _comparable(plan: TrainingPlan, in_force: int) -> list[ReleaseRecord]:
    """Load the earlier champions that can be compared; those that can no longer be read are left out."""
    tracking, records = Tracking.of(plan.config), []
    for version in registry.promoted_versions(tracking):
        if version == in_force:
            continue
        with suppress(ReleaseError):
            records.append(registry.load_release(tracking, str(version)))
    facts = (plan.config, plan.snapshot_digest, plan.backbone.id, plan.synthetic)
    return [record for record in records if not why_not_comparable(record, *facts)]


def _auroc(record: ReleaseRecord) -> tuple[float, int]:
    """Order by slice AUROC on validation as it was measured then; of equal ones the newest counts as best."""
    value = record.metrics["validation"].release["auroc_nodule"].value
    return (-1.0 if value is None else value, record.version)
