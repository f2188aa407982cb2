"""Which release is in force: promotion and rollback, each one step in the registry."""

from __future__ import annotations

from lidcflow.errors import ReleaseError
from lidcflow.release.record import ReleaseRecord
from tasks.pin import pin_release
from tasks.tracking import registry
from tasks.tracking.connection import Tracking


def promote(tracking: Tracking, version: int, *, force: bool, reason: str) -> ReleaseRecord:
    """Make a release the champion; promoting one without digests accepts its present files and records their digests.

    Raises
    ------
    ReleaseError
        If it is missing or incomplete, one of its models is gone or has changed, or the gate refused it or data of it
        were erased and nobody forces it with a reason.
    """
    record = registry.load_release(tracking, str(version), warn=False)
    erased = registry.erased_of(tracking, version)
    if erased and not (force and reason):
        raise ReleaseError(
            f"release {record.name} version {version}: must be made from data that are still kept, but {erased[-1]}; "
            "train again, or give --force and --reason"
        )
    if (record.gate.passed and not erased) or (force and reason):
        record = pin_release(tracking, version)
    if record.gate.passed and not erased:
        registry.set_champion(tracking, version, reason or record.gate.reason)
    elif force and reason:
        registry.set_champion(tracking, version, f"forced: {reason}")
    else:
        raise ReleaseError(
            f"release {record.name} version {version}: must have passed the gate, but {record.gate.reason}; "
            "to put it in force all the same, give --force and --reason"
        )
    return record


def rollback(tracking: Tracking) -> tuple[int, ReleaseRecord]:
    """Put the champion before the present one back in force; return the version taken back and the restored one.

    Raises
    ------
    ReleaseError
        If there is no champion, or none before it that is made from data that are still kept.
    """
    listed = registry.list_releases(tracking)
    current = next((release for release in listed if release.champion), None)
    if current is None or current.promoted is None:
        raise ReleaseError("rollback: a release must be in force, got none; see `lidcflow releases`")
    earlier = [
        (release.promoted, release.record)
        for release in listed
        if release.promoted and release.record and release.promoted < current.promoted and not release.erased
    ]
    if not earlier:
        raise ReleaseError(
            f"rollback: a release must have been in force before version {current.version} and have lost no data to an "
            "erasure, got none; "
            "choose one of `lidcflow releases` and promote it"
        )
    _, record = max(earlier, key=lambda one: one[0])
    registry.restore_champion(tracking, record.version)
    return current.version, record
