"""Put a store in order: leftovers of dead writers go, damaged volumes and stray features too."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from lidcflow.errors import LidcflowError, ResourceError, StoreError
from lidcflow.store.arrays import halved
from lidcflow.store.parallel import AtOnce, side_by_side
from lidcflow.store.place import Swept
from lidcflow.store.record import VolumeRecord, voxel_digest
from lidcflow.store.volumes import VolumeStore

READERS = 4
"""Volumes that are read side by side; each takes about 10 MiB."""


@dataclass(frozen=True)
class Repaired:
    """Result of a repair: what was found in a store, and done about it.

    Parameters
    ----------
    records : tuple of VolumeRecord
        Of the volumes that are in order, without their source slices: those of many volumes fill the memory.
    damaged : tuple of str
        SeriesInstanceUIDs of the others.
    features_removed : int
        Features and candidates of another volume, or that can't be read.
    swept : Swept
        Unfinished work.
    """

    records: tuple[VolumeRecord, ...]
    damaged: tuple[str, ...]
    features_removed: int
    swept: Swept


def repair_store(
    store: VolumeStore,
    *,
    verify: bool = False,
    on_volume: Callable[[int, int], None] = lambda _done, _total: None,
) -> Repaired:
    """Remove the drafts of writers that died, and list the volumes.

    Parameters
    ----------
    store : VolumeStore
        To be put in order.
    verify : bool
        Whether to read every volume, and to remove those whose voxels are not what their record says, so that the
        next preprocessing makes them again; without it only a record that can't be read counts as damage, and stays.
    on_volume : callable
        Gets the number of volumes looked at, and of all.

    Raises
    ------
    ResourceError
        If the store can't be read: that says nothing of its volumes.
    """
    swept = store.sweep()
    uids = store.series_uids()
    records: list[VolumeRecord] = []
    damaged: list[str] = []
    features_removed = 0
    examined = side_by_side(_examiner(store, verify), uids, AtOnce(READERS))
    for done, (uid, record) in enumerate(zip(uids, examined, strict=True), start=1):
        if record is None:
            damaged.append(uid)
        else:
            records.append(record)
        features_removed += _mend(store, uid, record) if verify else 0
        on_volume(done, len(uids))
    store.recount()
    return Repaired(tuple(records), tuple(damaged), features_removed, swept)


def _examiner(store: VolumeStore, verify: bool) -> Callable[[str], VolumeRecord | None]:
    """Return a function that gives a volume's record, or None if the volume is damaged."""

    def examine(uid: str) -> VolumeRecord | None:
        try:
            record = store.record(uid)
        except StoreError:
            return None
        sound = not verify or is_sound(store, record)
        return replace(record, sources=(), source_slices=()) if sound else None

    return examine


def is_sound(store: VolumeStore, record: VolumeRecord) -> bool:
    """Return whether a volume's voxels equal its record's digest, at both sizes.

    Raises
    ------
    ResourceError
        If they can't be read for a reason outside of them, such as permissions.
    """
    uid = record.series_instance_uid
    try:
        hu, coarse = store.read_levels(uid)
        sound = voxel_digest(hu, record.edges_mm) == record.volume_digest and np.array_equal(coarse, halved(hu))
        return sound or store.record(uid).volume_digest != record.volume_digest  # replaced meanwhile, by a sound one
    except StoreError:
        return False
    except LidcflowError:
        raise
    except OSError as error:
        if error.errno == errno.EIO:
            return False
        raise ResourceError(f"{store.name}: its files must be readable, got '{error.strerror}'; check them") from None
    except Exception:  # whatever a decoder makes of bytes that were not written so
        return False


def _mend(store: VolumeStore, uid: str, record: VolumeRecord | None) -> int:
    """Remove a damaged volume, or features and candidates that are not of the volume; return the number of these."""
    if record is None:
        store.delete(uid)
        return 0
    if lost := bool(record.candidates) and store.read_candidates(uid) is None:
        store.delete_candidates(uid)
    stray = [feature_id for feature_id in store.feature_ids(uid) if store.read_features(uid, feature_id) is None]
    for feature_id in stray:
        store.delete_features(uid, feature_id)
    return len(stray) + lost
