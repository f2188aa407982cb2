"""Location of a store: a folder, or a prefix in a bucket. Both keep the same objects under the same keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from lidcflow.store.parallel import AtOnce

if TYPE_CHECKING:
    from obstore.store import S3Store

Result = TypeVar("Result")
Objects = Mapping[str, bytes]
"""Objects of a Zarr group or array, by key within it."""

GUARD = "lidcflow.json"
SERIES = "series"
CANDIDATES = "candidates"
FACTS = "zarr.json"
"""Zarr's own description of a group or an array, the last of its objects to be written."""

GROUP = b'{\n  "attributes": {},\n  "zarr_format": 3,\n  "node_type": "group"\n}'
"""Zarr's description of a group without attributes: of the store's root, and of the group that holds the series."""


def checked_length(content: bytes, n_bytes: int) -> bytes:
    """Return the content if it is as long as it must be.

    Raises
    ------
    ValueError
        If it is not: decoders read on where it ends.
    """
    if len(content) != n_bytes:
        raise ValueError(f"a part of an object must have {n_bytes} bytes, got {len(content)}")
    return content


def open_for_zarr(where: Path | S3Store) -> Any:
    """Return a folder or a bucket as a place for Zarr to read, a `zarr.storage.StorePath`."""
    from lidcflow.store.present import open_place  # Zarr takes 0.3 s of CPU, which a list of series need not spend

    return open_place(where)


@dataclass(frozen=True)
class Swept:
    """Unfinished work that was found.

    Parameters
    ----------
    removed : int
        Leftovers of dead writers, removed.
    in_work : int
        What living writers may be at, left alone.
    unknown : int
        What is not of lidcflow's making, left alone.
    """

    removed: int = 0
    in_work: int = 0
    unknown: int = 0


class Held(Protocol):
    """A group or array while it is read."""

    @property
    def zarr(self) -> Any:
        """Its place for Zarr, a `zarr.storage.StorePath`."""

    def whole(self, name: str) -> bytes:
        """Return an object."""

    def tail(self, name: str, n_bytes: int) -> bytes:
        """Return the end of an object; `ValueError` where it is shorter."""

    def ranges(self, name: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return parts of an object, each from its first byte up to its last; `ValueError` where it is shorter."""


class StorePlace(Protocol):
    """Operations that a store needs from its folder or bucket.

    A key names a group or array, such as ``series/1.2.3`` or ``series/1.2.3/features/compact-1``. Methods raise
    `FileNotFoundError` where a key must be there and is not, and `ResourceError` if the place is full or out of reach.
    """

    @property
    def name(self) -> str:
        """Its name in messages, such as ``store /data/store``."""

    @property
    def zarr(self) -> Any:
        """Its root for Zarr to read, a `zarr.storage.StorePath`."""

    def claim(self, guard: bytes) -> None:
        """Put the guard file where nothing is yet, and complete the groups above the series.

        Of two writers at once the first one wins. A store of version 0.1 has no groups above its series: it gets them
        unless it may only be read.
        """

    def guard(self) -> bytes:
        """Return the guard file."""

    def require_writable(self) -> None:
        """Refuse to start work where nothing can be written."""

    def require_room(self, needed_bytes: int) -> None:
        """Refuse to start writing what will not fit."""

    def series_uids(self) -> list[str]:
        """List the committed series, in order."""

    def feature_ids(self, uid: str) -> list[str]:
        """List the features of a series, in order."""

    @property
    def at_once(self) -> AtOnce:
        """Number of descriptions read in parallel."""

    def facts(self, uid: str, *, listed: bool = False) -> bytes:
        """Return the description of a committed series' group; one that was `listed` just now is not looked for."""

    def committed_s(self, uid: str) -> float:
        """Return when the description of a committed series' group was written, in seconds since 1970."""

    def describe(self, uid: str, description: bytes) -> None:
        """Put a description of a committed series' group in place of the older one; arrays and features stay."""

    def read(self, key: str, read: Callable[[Held], Result]) -> Result:
        """Call `read` with what lies at `key`, again when it was replaced meanwhile."""

    def commit_volume(self, uid: str, objects: Objects) -> None:
        """Put the group of a series in place of an older one and its features; a reader sees all of it or nothing."""

    def commit_features(self, uid: str, feature_id: str, objects: Objects) -> None:
        """Put features of a series in place of older ones."""

    def commit_candidates(self, uid: str, objects: Objects) -> None:
        """Put candidates of a series in place of older ones."""

    def remove(self, key: str) -> None:
        """Take a group or array out of sight, then delete it; what is gone already is gone."""

    def recount(self) -> None:
        """Add up the size of the store anew, where it is kept: in a folder."""

    def sweep(self) -> Swept:
        """Remove the drafts of writers that died."""
