"""Digests for a release from before they were kept: taken of its models and its record as they are now."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from lidcflow.release.record import ReleaseRecord, sector_model_name
from tasks.sector import ALL_SECTORS
from tasks.tracking import registry
from tasks.tracking.connection import Tracking
from tasks.tracking.model_files import check_models, digest_of_model
from tasks.tracking.profiles import FILE as PROFILE
from tasks.tracking.runs import run_of


def pin_release(tracking: Tracking, version: int) -> ReleaseRecord:
    """Keep the digests of a release; of one that has them, check that its models still match.

    Whoever asks for it vouches that the files are the ones that were trained: nothing else can, afterwards.

    Raises
    ------
    ReleaseError
        If it is missing or incomplete, or a model is gone, or, of a pinned one, has changed.
    """
    record = registry.load_release(tracking, str(version), warn=False)
    if record.pinned:
        check_models(tracking, record)
        return record
    run_id = registry.training_of(tracking, version)
    models = {(pin.model_name, pin.version) for pin in record.sectors} | _all_sector_model(tracking, record, run_id)
    digests = {
        f"models:/{name}/{number}": digest_of_model(tracking, f"models:/{name}/{number}") for name, number in models
    }
    for name, number in models:
        registry.keep_digest(tracking, name, number, digests[f"models:/{name}/{number}"])
    _pin_profile(tracking, version, run_id)
    pinned = record.with_digests(digests)
    registry.keep_record(tracking, pinned, run_id)
    return pinned


def _all_sector_model(tracking: Tracking, record: ReleaseRecord, run_id: str) -> set[tuple[str, int]]:
    """Return the model of the whole chest that the same training registered: evaluations ask it too."""
    name = sector_model_name(record.name, ALL_SECTORS.sector_num, ALL_SECTORS.sector)
    version = registry.version_of_training(tracking, name, run_id)
    return {(name, version)} if version else set()


def _pin_profile(tracking: Tracking, version: int, run_id: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        if fetched := run_of(tracking, run_id).fetch(PROFILE, Path(folder)):
            registry.keep_profile_digest(tracking, version, hashlib.sha256(fetched.read_bytes()).hexdigest())
