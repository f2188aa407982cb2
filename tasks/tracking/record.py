"""Interpret a registered version of a release: its tags and its record, whichever way they were read."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from pydantic import ValidationError

from lidcflow.errors import ReleaseError
from lidcflow.release.record import ReleaseRecord

CHAMPION = "champion"
RECORD_FOLDER = "release"
RECORD_FILE = "release.json"
COMPLETE_TAG, PROMOTED_TAG, WHY_TAG = "complete", "promoted", "why_promoted"
RECORD_SHA256_TAG = "record_sha256"
"""Digest of a release's record. It lies in MLflow's database, which is closed to whoever may write artifacts alone."""

ERASED_TAG = "erased"
"""Begins the tags that say which data of a release were erased, one for each erasure."""

PROFILE_SHA256_TAG = "profile_sha256"
"""Digest of a release's profile, kept where that of the record is."""

MOST_RECORD_BYTES = 2**25

_logger = logging.getLogger("lidcflow.releases")


class Version(Protocol):
    """A registered version, as MLflow's `ModelVersion` has it."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> Any: ...
    @property
    def source(self) -> Any: ...
    @property
    def tags(self) -> Mapping[str, str]: ...


ReadRecord = Callable[[str, str], bytes]
"""Reads the record in a folder of artifacts, given what to call its release in errors."""


@dataclass(frozen=True)
class Listed:
    """A release in the registry's list; `record` is None while it is incomplete, `erased` names what it lost.

    If the record has changed or is missing, it is None as well and `fault` has the reason.
    """

    version: int
    record: ReleaseRecord | None
    champion: bool
    promoted: datetime | None
    why_promoted: str
    erased: tuple[str, ...] = ()
    fault: str = ""


def listed(version: Version, champion: int | None, read: ReadRecord) -> Listed:
    """Return a version as the list shows it; a record that can't be read becomes a fault."""
    promoted = version.tags.get(PROMOTED_TAG)
    record, fault = None, ""
    try:
        record = checked_record(version, read) if version.tags.get(COMPLETE_TAG) else None
    except ReleaseError as error:
        fault = str(error)
    return Listed(
        version=int(version.version),
        record=record,
        champion=int(version.version) == champion,
        promoted=datetime.fromisoformat(promoted) if promoted else None,
        why_promoted=version.tags.get(WHY_TAG, ""),
        erased=erased_data(version),
        fault=fault,
    )


def checked_record(version: Version, read: ReadRecord) -> ReleaseRecord:
    """Return the record of a version.

    Raises
    ------
    ReleaseError
        If the version is incomplete, or its record can't be read or has changed.
    """
    number = f"release {version.name} version {version.version}"
    if not version.tags.get(COMPLETE_TAG):
        raise ReleaseError(
            f"{number}: must be complete, but its training was cut short; choose one of `lidcflow releases`"
        )
    content = read(str(version.source), number)
    kept, found = version.tags.get(RECORD_SHA256_TAG), hashlib.sha256(content).hexdigest()
    if kept and kept != found:
        raise ReleaseError(
            f"{number}: the SHA-256 of its record {RECORD_FILE} must be {kept}, as it was made, got {found}; it has "
            "changed since: put it back from a copy, or train again"
        )
    try:
        record = ReleaseRecord.model_validate_json(content).check()
    except ValidationError as error:
        raise ReleaseError(f"{number}: its record must be readable, got {_first_line(error)}; train again") from None
    # Digests in a record that nothing vouches for are as good as none.
    return record if kept else record.with_digests({})


def erased_data(version: Version) -> tuple[str, ...]:
    """Return which data of a release were erased since it was trained; empty where none were."""
    return tuple(text for tag, text in sorted(version.tags.items()) if tag.startswith(f"{ERASED_TAG}."))


def warn_if_unpinned(record: ReleaseRecord) -> None:
    """Log a warning for a release that was made before digests were kept."""
    if not record.pinned:
        _logger.warning("%s", unpinned_sentence(record))


def unpinned_sentence(record: ReleaseRecord) -> str:
    """Return the warning for a release that was made before digests were kept, with the remedy."""
    return (
        f"release {record.name} version {record.version}: was trained before digests were kept, so that a changed "
        "model or threshold would not be noticed; if it is the one you trust, run "
        f"`lidcflow releases {record.version} --pin`"
    )


def _first_line(error: Any) -> str:
    return str(error).splitlines()[0]


def missing_release(reference: str, *, any_release: bool) -> str:
    """Return the sentence for a release that is not there.

    Parameters
    ----------
    reference : str
        Version or alias.
    any_release : bool
        Whether there is another one.
    """
    if not any_release:
        return (
            f"release {reference}: there must be a release, got none; run `lidcflow train` first, or set infer.release "
            "to embedded"
        )
    if reference == CHAMPION:
        return (
            "release champion: a release must have been promoted, got none that passed the gate; "
            "see `lidcflow releases`, then `lidcflow promote VERSION --force --reason ...`"
        )
    return f"release {reference}: must be a version or alias of the registry; choose one of `lidcflow releases`"
