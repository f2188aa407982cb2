"""A store's place as Zarr reads it: what is asked for must be there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zarr.storage import LocalStore, ObjectStore, StorePath, WrapperStore


class Present(WrapperStore):  # type: ignore[misc]
    """A store in which what is asked for must be there; Zarr would take a missing chunk for fill values."""

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        """Return an object, or the asked part of it.

        Raises
        ------
        FileNotFoundError
            If it is not there.
        """
        found = await self._store.get(key, prototype, byte_range)
        if found is None:
            raise FileNotFoundError(key)
        return found


def open_place(where: Any) -> StorePath:
    """Return a folder or a bucket as a place for Zarr to read."""
    storage = LocalStore if isinstance(where, Path) else ObjectStore
    return StorePath(Present(storage(where, read_only=True)))
