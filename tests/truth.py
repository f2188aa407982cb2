"""What must hold of store and catalog however a run ended."""

import hashlib
from pathlib import Path

from lidcflow.catalog.series import Catalog, State
from lidcflow.store.volumes import VolumeStore


def check_truth(config):
    """Make sure that every volume is whole and that the catalog has exactly the volumes of the store.

    Returns
    -------
    dict
        Digest of the stored volume for each SeriesInstanceUID.
    """
    store = VolumeStore.of(config)
    stored = {uid: store.record(uid).volume_digest for uid in store.series_uids()}
    for uid in stored:
        assert store.read_hu(uid).shape[1:] == (config.preprocess.slices, *[config.preprocess.size] * 2)
    with Catalog(config.catalog) as catalog:
        assert {row.series_instance_uid: row.volume_digest for row in catalog.rows(State.COMMITTED)} == stored
    return stored


def bytes_of(config):
    """Return the SHA-256 of every file of the volumes, by its place in the store."""
    root = Path(config.store_root) / "series"
    files = sorted(file for file in root.rglob("*") if file.is_file())
    return {str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def drafts_of(config):
    """Return what writers left aside."""
    return list((Path(config.store_root) / ".incoming").glob("*"))
