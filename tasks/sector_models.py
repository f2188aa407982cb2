"""The models of a release's sectors, and how they are loaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lidcflow.learn.release import Record, ReleaseRecord
from tasks.tracking.connection import Tracking


class SectorModel(Record):
    """The model that answers for a sector, its own or another's; slices from 0, `stop` excluded.

    `sha256` is that of its files; empty in a release from before digests were kept.
    """

    start: int
    stop: int
    uri: str
    sha256: str = ""
    own: bool = True

    @property
    def slices(self) -> range:
        """Slices of the sector, from 0."""
        return range(self.start, self.stop)


def sectors_of(release: ReleaseRecord) -> tuple[SectorModel, ...]:
    """Return the registered models that a release pins."""
    return tuple(
        SectorModel(start=pin.slices.start, stop=pin.slices.stop, uri=pin.uri, sha256=pin.sha256, own=not pin.fallback)
        for pin in release.sectors
    )


def load_sectors(models: Sequence[SectorModel], tracking: Tracking) -> list[tuple[range, Any]]:
    """Load the model of each sector, one that answers for several only once."""
    # Keras is for the workers: the flow's process, which imports this module too, stays small.
    from lidcflow.learn.plain import plain_head
    from tasks.tracking.models import load_model

    digests = {model.uri: model.sha256 for model in models}
    by_uri = {uri: plain_head(load_model(tracking, uri, sha256)) for uri, sha256 in digests.items()}
    return [(model.slices, by_uri[model.uri]) for model in models]
