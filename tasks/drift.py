"""Collect recent inference, and publish a check for drift on the run's page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event
from pydantic import ValidationError

from lidcflow.config import Config
from lidcflow.drift.measures import Measured, measure_series
from lidcflow.drift.quantities import Recent
from lidcflow.drift.record import DriftCheck
from lidcflow.drift.tables import COLUMNS, drift_rows
from lidcflow.errors import StoreError
from lidcflow.release.record import ReleaseRecord
from lidcflow.report.page import DATA
from lidcflow.report.recommendation import Recommendation
from lidcflow.store.volumes import VolumeStore
from tasks.progress import stage
from tasks.publish import publish_table

ALERT = "lidcflow.drift.alert"
"""Event of a check that found drift; automations can wait for it."""


@task(name="read-recent", cache_policy=NO_CACHE)
def read_recent(release: ReleaseRecord, config: Config, since: datetime) -> Recent:
    """Collect the inference since a time from the reports folder, with the volumes in the inbox store."""
    said = list(recommendations_since(config.reports_path, since))
    evaluated = [one for one in said if one.verdict != "not-evaluated"]
    found = _with_volumes(evaluated, release, config)
    own = [(key, one) for key, _, one in found if _is_of(one, release)]
    return Recent(
        patients=[key for key, _, _ in found],
        measured=[measured for _, measured, _ in found],
        scored_patients=[key for key, _ in own],
        scores=np.array([[cut.probabilities.nodule for cut in one.slices] for _, one in own]),
        malignant=np.array([max(cut.probabilities.malignant for cut in one.slices) for _, one in own], np.float64),
        synthetic=any(one.synthetic for _, _, one in found),
        not_evaluated=len(said) - len(evaluated),
        without_volume=len(evaluated) - len(found),
    )


def recommendations_since(folder: Path, since: datetime) -> Iterator[Recommendation]:
    """Yield the recommendations written since a time; a file that is no recommendation is passed over."""
    for file in sorted(folder.glob(f"*/*/{DATA}")):
        try:
            if file.stat().st_mtime >= since.timestamp():
                yield Recommendation.model_validate_json(file.read_bytes())
        except (OSError, ValidationError):
            continue


def announce_drift(check: DriftCheck) -> None:
    """Put a check on the page of the run: a table, a sentence, and an event if anything drifted."""
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in drift_rows(check)]
    publish_table("drift", rows, f"{check.sentence} {check.statement}")
    create_markdown_artifact(f"{check.sentence}\n\n{check.statement}", key="drift-verdict")
    if check.alarms:
        emit_event(
            ALERT,
            resource={"prefect.resource.id": f"lidcflow.release.{check.release}.{check.version}"},
            payload={"quantities": [one.key for one in check.alarms], "patients": check.patients},
        )


def _with_volumes(
    said: list[Recommendation], release: ReleaseRecord, config: Config
) -> list[tuple[str, Measured, Recommendation]]:
    """Pair each recommendation with its patient's key and its volume's measures, where the volume is still there."""
    store = VolumeStore.found(config.inbox_store_root, config.access)
    if store is None:
        return []
    found = []
    with stage("recent", total=len(said)) as progress:
        for one in said:
            if measured := _measured(one, release, store):
                found.append((*measured, one))
            progress.advance()
    return found


def _measured(one: Recommendation, release: ReleaseRecord, store: VolumeStore) -> tuple[str, Measured] | None:
    try:
        record = store.record(one.series_instance_uid)
        same = one.volume is not None and record.volume_digest == one.volume.volume_digest
        if not same or record.config_digest != release.preprocess_digest:
            return None
        return record.patient_key, measure_series(record, store.read_hu(one.series_instance_uid)[0])
    except StoreError:
        return None


def _is_of(one: Recommendation, release: ReleaseRecord) -> bool:
    return (one.release.name, one.release.version) == (release.name, release.version)
