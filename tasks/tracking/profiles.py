"""Read the profile of a release from the run of its training; Prefect is not imported here."""

from __future__ import annotations

import functools
import hashlib
import tempfile
from importlib import import_module
from pathlib import Path

from pydantic import ValidationError

from lidcflow.drift.outlying import ReferenceLimits, reference_limits
from lidcflow.drift.profile import Profile
from lidcflow.errors import ReleaseError
from lidcflow.release.record import ReleaseRecord
from tasks.tracking.direct import NOT_READ, read_plain, release_tag, training_folder
from tasks.tracking.place import Tracking
from tasks.tracking.record import PROFILE_SHA256_TAG

FILE = "profile/profile.json"
"""Path of a profile among the artifacts of its run."""

MOST_BYTES = 2**26
"""Most bytes of a profile that is read without MLflow; it has some 100 KB."""


def find_profile(version: int, tracking: Tracking) -> Profile | None:
    """Return the profile of a release; None where its training kept none that can be read.

    Raises
    ------
    ReleaseError
        If it is not the one that was kept.
    """
    content, kept = _read(version, tracking)
    if content is None:
        return None
    found = hashlib.sha256(content).hexdigest()
    if kept and kept != found:
        raise ReleaseError(
            f"release {tracking.registry_name} version {version}: the SHA-256 of its profile must be {kept}, as it was "
            f"made, got {found}; it has changed since: put {FILE} of its training back from a copy, or train again"
        )
    try:
        return Profile.model_validate_json(content)
    except ValidationError:
        return None


def _read(version: int, tracking: Tracking) -> tuple[bytes | None, str]:
    """Return the content of a profile, and the digest that was kept of it."""
    try:
        content = read_plain(training_folder(tracking, version) / FILE, most_bytes=MOST_BYTES)
        return content, release_tag(tracking, version, PROFILE_SHA256_TAG)
    except NOT_READ:
        return _read_by_mlflow(version, tracking)


def _read_by_mlflow(version: int, tracking: Tracking) -> tuple[bytes | None, str]:
    registry, runs = (import_module(f"tasks.tracking.{name}") for name in ("registry", "runs"))
    run = runs.run_of(tracking, registry.training_of(tracking, version))
    with tempfile.TemporaryDirectory() as folder:
        fetched = run.fetch(FILE, Path(folder))
        content = fetched.read_bytes() if fetched else None
    return content, registry.profile_digest(tracking, version)


@functools.lru_cache(maxsize=2)
def release_limits(version: int, tracking: Tracking) -> ReferenceLimits | None:
    """Return what a release was trained on, fetched once in a process."""
    profile = find_profile(version, tracking)
    return None if profile is None else reference_limits(profile)


def limits_of(release: ReleaseRecord, tracking: Tracking) -> ReferenceLimits | None:
    """Return what a release was trained on, as the registry keeps it now."""
    return release_limits.__wrapped__(release.version, tracking)
