"""Which of a configuration's stores is meant, as a value that travels to workers and opens the store there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lidcflow.config import Access, Config, PreprocessConfig
from lidcflow.store.locate import is_store
from lidcflow.store.volumes import VolumeStore


@dataclass(frozen=True)
class StoreAddress:
    """Address of a store, with the settings to open it.

    Parameters
    ----------
    root : str
        Folder, or ``s3://bucket/prefix``.
    folder : Path, optional
        The folder; None for a prefix in a bucket.
    preprocess : PreprocessConfig
        With which the store's volumes are made.
    access : Access
        How buckets are reached.
    candidates : bool
        Whether volumes are to have nodule candidates beside them.
    """

    root: str
    folder: Path | None
    preprocess: PreprocessConfig
    access: Access
    candidates: bool = True

    def open(self, *, create: bool = False) -> VolumeStore:
        """Open the store, and check that its volumes are made with this preprocessing.

        Raises
        ------
        StoreError
            If there is no store, or one of another preprocessing.
        """
        return VolumeStore(self.root, self.preprocess, create=create, access=self.access)

    def exists(self) -> bool:
        """Return whether there is a store, of whatever preprocessing."""
        return is_store(self.root, self.access)


def training_store(config: Config) -> StoreAddress:
    """Return the address of the store of volumes to train on."""
    return _address(config, config.store_root, config.store_folder)


def inbox_store(config: Config) -> StoreAddress:
    """Return the address of the store of volumes that are only read, apart from those to train on."""
    return _address(config, config.inbox_store_root, config.inbox_store_folder)


def _address(config: Config, root: str, folder: Path | None) -> StoreAddress:
    return StoreAddress(root, folder, config.preprocess, config.access, config.nodules.candidates)
