"""Registered sector models and releases; the alias `champion` sits on releases only."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS, MLFLOW_PARENT_RUN_ID

from lidcflow.errors import ReleaseError
from lidcflow.release.record import ReleaseRecord
from lidcflow.stats.estimate import Estimate
from tasks.tracking.artifacts import private_copy
from tasks.tracking.connection import Tracking, connect, is_there
from tasks.tracking.record import CHAMPION as CHAMPION
from tasks.tracking.record import (
    COMPLETE_TAG,
    MOST_RECORD_BYTES,
    PROFILE_SHA256_TAG,
    PROMOTED_TAG,
    RECORD_SHA256_TAG,
    WHY_TAG,
    checked_record,
    erased_data,
    listed,
    missing_release,
    warn_if_unpinned,
)
from tasks.tracking.record import ERASED_TAG as ERASED_TAG
from tasks.tracking.record import RECORD_FILE as RECORD_FILE
from tasks.tracking.record import RECORD_FOLDER as RECORD_FOLDER
from tasks.tracking.record import Listed as Listed
from tasks.tracking.record import unpinned_sentence as unpinned_sentence

ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""MLflow's error code for a missing version or alias."""
DENIED = "PERMISSION_DENIED"
"""Error code of a server with accounts for a name that nobody has registered yet."""

CARD = "card.md"
INPUTS_TAG = "inputs"
SHA256_TAG = "sha256"
"""Digest of a model's files. It lies in MLflow's database, which is closed to whoever may write artifacts alone."""

_logger = logging.getLogger("lidcflow.releases")


def register_model(
    tracking: Tracking,
    name: str,
    *,
    source: str,
    run_id: str,
    model_id: str | None = None,
    sha256: str = "",
    description: str = "",
) -> int:
    """Register a version under `name`, making the name on first use, and return its number.

    A run registers one version of a name. What an earlier attempt registered is found again, so that a resumed training
    leaves no second one. `sha256` is kept as a tag: it is that of the model's files.
    """
    client = connect(tracking)
    _ensure_name(client, name)
    for known in client.search_model_versions(f"name='{name}' and run_id='{run_id}'"):
        if sha256:
            client.set_model_version_tag(name, known.version, SHA256_TAG, sha256)
        return int(known.version)
    tags = {SHA256_TAG: sha256} if sha256 else None
    version = client.create_model_version(
        name, source, run_id=run_id, model_id=model_id, description=description, tags=tags
    )
    if model_id:
        link = json.dumps([{"name": name, "version": int(version.version)}])
        client.set_logged_model_tags(model_id, {MLFLOW_MODEL_VERSIONS: link})
    return int(version.version)


def newest_version(tracking: Tracking, name: str) -> int | None:
    """Return the newest version of a registered model, if there is one."""
    return max((int(version.version) for version in _versions(tracking, name)), default=None)


def release_folder(tracking: Tracking, run_id: str) -> str:
    """Return where the record of a run's release lies: among the run's artifacts."""
    return f"{connect(tracking).get_run(run_id).info.artifact_uri}/{RECORD_FOLDER}"


def complete_release(tracking: Tracking, record: ReleaseRecord, run_id: str, description: str) -> None:
    """Write the record and the description of a registered version and its digest, then mark the version complete.

    Until the last step the version counts as incomplete, so that a training that is cut short leaves nothing
    that could be promoted.
    """
    client = connect(tracking)
    keep_record(tracking, record, run_id)
    version = str(record.version)
    client.update_model_version(record.name, version, description=description)
    for key, value in {**_facts(record), INPUTS_TAG: record.inputs_digest, COMPLETE_TAG: "yes"}.items():
        client.set_model_version_tag(record.name, version, key, value)


def keep_record(tracking: Tracking, record: ReleaseRecord, run_id: str) -> None:
    """Write the record of a release, then its digest on the version; from then on no other record is taken."""
    client, text = connect(tracking), record.model_dump_json(indent=2)
    client.log_text(run_id, text, f"{RECORD_FOLDER}/{RECORD_FILE}")
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    client.set_model_version_tag(record.name, str(record.version), RECORD_SHA256_TAG, sha256)


def digest_of_version(tracking: Tracking, name: str, version: int) -> str:
    """Return the SHA-256 of a registered model's files; empty where it was registered before digests were kept."""
    return str(connect(tracking).get_model_version(name, str(version)).tags.get(SHA256_TAG, ""))


def keep_digest(tracking: Tracking, name: str, version: int, sha256: str) -> None:
    """Keep the SHA-256 of a registered model's files."""
    connect(tracking).set_model_version_tag(name, str(version), SHA256_TAG, sha256)


def profile_digest(tracking: Tracking, version: int) -> str:
    """Return the SHA-256 of a release's profile; empty where none was kept."""
    kept = connect(tracking).get_model_version(tracking.registry_name, str(version)).tags
    return str(kept.get(PROFILE_SHA256_TAG, ""))


def keep_profile_digest(tracking: Tracking, version: int, sha256: str) -> None:
    """Keep the SHA-256 of a release's profile."""
    connect(tracking).set_model_version_tag(tracking.registry_name, str(version), PROFILE_SHA256_TAG, sha256)


def find_release(tracking: Tracking, inputs: str, *, run_id: str | None = None) -> ReleaseRecord | None:
    """Return the newest complete release that was trained on exactly these inputs, in any run or in `run_id`."""
    same = (
        version
        for version in _versions(tracking)
        if version.tags.get(INPUTS_TAG) == inputs
        and version.tags.get(COMPLETE_TAG)
        and run_id in (None, version.run_id)
    )
    newest = next(same, None)
    try:
        return None if newest is None else _record_of(tracking, newest)
    except ReleaseError as error:
        _logger.warning("%s; it is not reused", error)
        return None


def load_release(tracking: Tracking, reference: str, *, warn: bool = True) -> ReleaseRecord:
    """Return the record of a release, by version number or alias; warn of one from before digests were kept.

    Raises
    ------
    ReleaseError
        If there is none, or it is incomplete, or its record can't be read or has changed.
    """
    record = _load_release(tracking, reference)
    if warn:
        warn_if_unpinned(record)
    return record


def _load_release(tracking: Tracking, reference: str) -> ReleaseRecord:
    if not is_there(tracking):
        raise ReleaseError(missing_release(reference, any_release=False))
    client, name = connect(tracking), tracking.registry_name
    try:
        if reference.isdecimal():
            return _record_of(tracking, client.get_model_version(name, reference))
        return _record_of(tracking, client.get_model_version_by_alias(name, reference))
    except MlflowException as error:
        if not _is_absent(tracking, error):
            raise
        raise ReleaseError(missing_release(reference, any_release=bool(_versions(tracking)))) from None


def _is_absent(tracking: Tracking, error: MlflowException) -> bool:
    """Return whether an error is that of a missing version or alias."""
    return error.error_code in ABSENT or (error.error_code == DENIED and not _versions(tracking))


def training_of(tracking: Tracking, version: int) -> str:
    """Return the id of the run that trained a release."""
    return str(connect(tracking).get_model_version(tracking.registry_name, str(version)).run_id)


def erased_of(tracking: Tracking, version: int) -> tuple[str, ...]:
    """Describe which data of a release were erased since it was trained; empty where none were."""
    return erased_data(connect(tracking).get_model_version(tracking.registry_name, str(version)))


def version_of_training(tracking: Tracking, name: str, run_id: str) -> int | None:
    """Return the version of a sector model that a training registered, if there is one; its run is below `run_id`."""
    client = connect(tracking)
    for version in _versions(tracking, name):
        if version.run_id and client.get_run(version.run_id).data.tags.get(MLFLOW_PARENT_RUN_ID) == run_id:
            return int(version.version)
    return None


def champion_version(tracking: Tracking) -> int | None:
    """Return the version in force, if there is one."""
    if not is_there(tracking):
        return None
    try:
        return int(connect(tracking).get_model_version_by_alias(tracking.registry_name, CHAMPION).version)
    except MlflowException as error:
        # Of a server that is away, nothing may follow: least of all that there is no champion to compare with.
        if not _is_absent(tracking, error):
            raise
        return None


def promoted_versions(tracking: Tracking) -> list[int]:
    """List the versions that are or were in force, newest first."""
    return [int(version.version) for version in _versions(tracking) if version.tags.get(PROMOTED_TAG)]


def list_releases(tracking: Tracking) -> list[Listed]:
    """List every release, newest first."""
    champion = champion_version(tracking)
    return [listed(version, champion, partial(_read_record, tracking)) for version in _versions(tracking)]


def set_champion(tracking: Tracking, version: int, why: str) -> None:
    """Put a release in force: one call sets the alias, and readers see the old or the new one."""
    client, name = connect(tracking), tracking.registry_name
    client.set_model_version_tag(name, str(version), PROMOTED_TAG, datetime.now(UTC).isoformat())
    client.set_model_version_tag(name, str(version), WHY_TAG, why)
    client.set_registered_model_alias(name, CHAMPION, str(version))


def restore_champion(tracking: Tracking, version: int) -> None:
    """Put an earlier champion back in force, leaving its date of promotion, so that a second step goes further back."""
    connect(tracking).set_registered_model_alias(tracking.registry_name, CHAMPION, str(version))


def _versions(tracking: Tracking, name: str | None = None) -> list[ModelVersion]:
    """Return the versions of a model, by default of the release, newest first."""
    if not is_there(tracking):
        return []
    client, wanted = connect(tracking), f"name='{name or tracking.registry_name}'"
    page = client.search_model_versions(wanted)
    versions = list(page)
    while page.token:
        page = client.search_model_versions(wanted, page_token=page.token)
        versions += page
    return sorted(versions, key=lambda version: -int(version.version))


def _record_of(tracking: Tracking, version: ModelVersion) -> ReleaseRecord:
    return checked_record(version, partial(_read_record, tracking))


def _read_record(tracking: Tracking, source: str, number: str) -> bytes:
    with private_copy(tracking, source, number, only=RECORD_FILE, most_bytes=MOST_RECORD_BYTES) as folder:
        return (folder / RECORD_FILE).read_bytes()


def _ensure_name(client: MlflowClient, name: str) -> None:
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _facts(record: ReleaseRecord) -> Mapping[str, str]:
    """Short tags that distinguish releases in the registry's list; `auroc` is that of slices on the test patients."""
    return {
        "gate": "passed" if record.gate.passed else "refused",
        "auroc": _text(record.metrics["test"].release.get("auroc_nodule")),
        "sectors": str(record.sector_num),
        "backbone": record.backbone.kind,
        "data": "synthetic" if record.synthetic else "CT",
    }


def _text(figure: Estimate | None) -> str:
    return "-" if figure is None or figure.value is None else f"{figure.value:.3f}"
