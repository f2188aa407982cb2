"""The releases that a new one must be no worse than: the one in force, and the best that was before it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from lidcflow.errors import ReleaseError
from lidcflow.learn.gate import why_not_comparable
from lidcflow.learn.gate_rules import Champion
from lidcflow.learn.release import ReleaseRecord
from lidcflow.store.volumes import VolumeStore
from tasks.sector_models import load_sectors, sectors_of
from tasks.snapshot import TrainingPlan
from tasks.tracking import registry
from tasks.tracking.connection import Tracking


def champions_of(plan: TrainingPlan) -> tuple[ReleaseRecord, ...]:
    """Return the release in force, if there is one, and the best earlier champion that can be compared with it."""
    tracking = Tracking.of(plan.config)
    version = registry.champion_version(tracking)
    if version is None:
        return ()
    in_force = registry.load_release(tracking, str(version))
    earlier = _comparable(plan, version) if plan.config.gate.best_ever else []
    return (in_force, *sorted(earlier, key=_auroc)[-1:])


def ask_champion(record: ReleaseRecord, plan: TrainingPlan, uids: Sequence[str]) -> Champion:
    """Let a champion answer for the validation series; with the same split, it was trained on none of them."""
    why_not = why_not_comparable(record, plan.config, plan.snapshot_digest, plan.backbone.id, plan.synthetic)
    store = VolumeStore.of(plan.config)
    features = [] if why_not else [store.read_features(uid, record.backbone.id) for uid in uids]
    if any(one is None for one in features):
        why_not = (
            f"every validation series must have the features of version {record.version}, {record.backbone.id}, but "
            "some lack them; judge it by hand, then `lidcflow promote VERSION --force --reason ...`"
        )
    if why_not:
        return Champion(version=record.version, probabilities=None, why_not=why_not)
    # Keras is for the workers: the flow's process, which imports this module too, stays small.
    from lidcflow.learn.predict import release_probabilities

    models = load_sectors(sectors_of(record), Tracking.of(plan.config))
    return Champion(version=record.version, probabilities=release_probabilities(models, np.stack(features)))


def _comparable(plan: TrainingPlan, in_force: int) -> list[ReleaseRecord]:
    """Load the earlier champions that can be compared; what can't be read any more is no opponent."""
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
