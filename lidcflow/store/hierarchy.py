"""A store as one read-only Zarr hierarchy: what is not part of it is hidden, and what older stores lack is added."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import zarr
from zarr.core.buffer import BufferPrototype, default_buffer_prototype
from zarr.storage import StorePath, WrapperStore

from lidcflow.store.place import FACTS, GROUP, SERIES


class Hierarchy(WrapperStore):  # type: ignore[misc]
    """The root of a store with the group ``series`` alone, whatever else lies beside it.

    Zarr warns of every file that it does not know. Stores of version 0.1 have no description of their root.

    Parameters
    ----------
    store : zarr.abc.store.Store
        What holds the objects.
    prefix : str
        Key of the root in it; empty where they are the same.
    """

    def __init__(self, store: Any, prefix: str = "") -> None:
        super().__init__(store)
        self._at = f"{prefix}/" if prefix else ""
        self._groups = {f"{self._at}{FACTS}", f"{self._at}{SERIES}/{FACTS}"}

    def _with_store(self, store: Any) -> Hierarchy:
        return type(self)(store, self._at.removesuffix("/"))

    async def get(self, key: str, prototype: BufferPrototype | None = None, byte_range: Any = None) -> Any:
        """Return an object; the descriptions above the series are the same in every store."""
        if key in self._groups:
            return (prototype or default_buffer_prototype()).buffer.from_bytes(GROUP)
        try:
            return await self._store.get(key, prototype, byte_range)
        except FileNotFoundError:
            if key.endswith(FACTS):  # Zarr looks for a description everywhere; a chunk, however, must be there
                return None
            raise

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """List what lies in a group; in the root, the group of the series."""
        if prefix.strip("/") == self._at.strip("/"):
            yield SERIES
            return
        async for name in self._store.list_dir(prefix):
            yield name


def open_root(held: StorePath) -> zarr.Group:
    """Open a store as a Zarr group that can only be read.

    Parameters
    ----------
    held : StorePath
        The store's root, from `lidcflow.store.place.open_for_zarr`.
    """
    return zarr.open_group(StorePath(Hierarchy(held.store, held.path), held.path), mode="r", zarr_format=3)
