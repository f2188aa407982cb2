"""Load the sector models of a release; MLflow and Keras are imported where a model needs them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lidcflow.learn.plain_head import read_head
from lidcflow.release.record import ReleaseRecord
from lidcflow.stats.estimate import Record
from tasks.tracking.model_copy import model_copy
from tasks.tracking.model_files import FILE, require_digest
from tasks.tracking.place import Tracking


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
    digests = {model.uri: model.sha256 for model in models}
    by_uri = {uri: load_model(tracking, uri, sha256, plain=True) for uri, sha256 in digests.items()}
    return [(model.slices, by_uri[model.uri]) for model in models]


def load_model(tracking: Tracking, uri: str, sha256: str, *, plain: bool = False) -> Any:
    """Load a logged or registered model, the only way that lidcflow does: its files checked, then in safe mode.

    Parameters
    ----------
    tracking : Tracking
        Where MLflow is.
    uri : str
        Of the model, such as ``models:/lidcflow.05-sectors.sector-03/1``.
    sha256 : str
        Of all its files, as its release pins it; empty for a release from before digests were kept.
    plain : bool
        Whether a head is to be returned as arithmetic, see `lidcflow.learn.plain_head`.

    Raises
    ------
    ReleaseError
        If it is gone, has changed or is more than a network of plain layers.
    """
    with model_copy(tracking, uri) as folder:
        if sha256:
            require_digest(folder, sha256, uri)
        return _loaded(folder / FILE, f"model {uri}", plain=plain)


def _loaded(file: Path, name: str, *, plain: bool) -> Any:
    if plain and (head := read_head(file)):
        return head
    from lidcflow.learn.network_file import load_head, load_network  # Keras, which a plain head does without

    return (load_head if plain else load_network)(file, name)
