"""Divide series by what a store holds of them, and record in the catalog what becomes of them.

Prefect is not imported here: one series is brought in without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from lidcflow.catalog.series import Catalog
from lidcflow.config import Config
from lidcflow.dicom.records import Series
from lidcflow.nodules.table import SCHEMA
from lidcflow.pixels.noticed import NOT_LEARNED_FROM
from lidcflow.series.verdicts import Index
from lidcflow.source.places import ImageSource
from lidcflow.store.address import StoreAddress
from lidcflow.store.volumes import VolumeSummary
from tasks.preprocessed import Preprocessed

Record = Callable[[Preprocessed], None]

Bring = Callable[[list[Series], Preprocessed, Config, StoreAddress, Record], None]
"""Preprocesses series, and calls the last argument for every one of them; the second one holds them then."""


def bring_missing(index: Index, config: Config, store: StoreAddress, bring: Bring) -> Preprocessed:
    """Bring every usable series of an index into a store, and keep the catalog up to date meanwhile.

    Parameters
    ----------
    index : Index
        Series and their verdicts.
    config : Config
        Of the workspace.
    store : StoreAddress
        Where the volumes go.
    bring : callable
        Preprocesses what the store lacks.
    """
    with Catalog(config.catalog) as catalog:
        catalog.record_verdicts(index)
        split = divided(index.usable, store)
        brought = Preprocessed()
        record = partial(_record, catalog, store.preprocess.digest, brought, split)
        digests = {uid: found.volume_digest for uid, found in split.current.items()}
        record(Preprocessed(reused=digests, flagged=_flagged(split.current.values())))
        bring(split.waiting, brought, config, store, record)
        made = store.open().look_up([*brought.committed, *brought.verified, *brought.completed])
        record(Preprocessed(flagged=_flagged(found for _, found in made if found)))
    return brought


class Split(NamedTuple):
    """Series divided by what the store holds of them.

    Parameters
    ----------
    current : dict
        The volume of each series that the store holds as it is.
    waiting : list of Series
        Those to be worked on.
    earlier : dict
        Digest of the volume of those among them whose headers are the same, and whose pixels may be.
    incomplete : set of str
        Those among them whose volume is current, and lacks candidates.
    """

    current: dict[str, VolumeSummary]
    waiting: list[Series]
    earlier: dict[str, str]
    incomplete: set[str]


def _record(catalog: Catalog, config_digest: str, brought: Preprocessed, split: Split, part: Preprocessed) -> None:
    """Write what became of some series into the catalog, and add it to what the run has brought so far."""
    part = part.told_apart(split.earlier, split.incomplete)
    if part.stored:
        catalog.record_committed(part.stored, config_digest)
    if part.refused:
        catalog.record_failed(part.refused)
    if part.flagged:
        catalog.add_flags(part.flagged)
    brought.add(part)  # last: what an interrupt kept out of the catalog must not count as known


def split_current(usable: list[Series], store: StoreAddress) -> tuple[dict[str, str], list[Series]]:
    """Divide series into those the store holds as they are, with their volumes' digests, and those to be worked on."""
    split = divided(usable, store)
    return {uid: found.volume_digest for uid, found in split.current.items()}, split.waiting


def divided(usable: list[Series], address: StoreAddress) -> Split:
    """Divide series by what the store holds of them."""
    store = address.open(create=True)
    current: dict[str, VolumeSummary] = {}
    waiting: list[Series] = []
    earlier: dict[str, str] = {}
    incomplete: set[str] = set()
    known = store.look_up([series.series_instance_uid for series in usable])
    for series, (uid, found) in zip(usable, known, strict=True):
        if found and store.is_of(found, series):
            if found.candidates >= SCHEMA or not address.candidates:
                store.note_state(found, series)
                current[uid] = found
                continue
            incomplete.add(uid)
        waiting.append(series)
        if found and store.is_of_headers(found, series):
            earlier[uid] = found.volume_digest
    return Split(current, waiting, earlier, incomplete)


def _flagged(volumes: Iterable[VolumeSummary]) -> dict[str, tuple[str, ...]]:
    """Return the flags of wrong pixels of the volumes that have any."""
    found = {volume.series_instance_uid: NOT_LEARNED_FROM.intersection(volume.flags) for volume in volumes}
    return {uid: tuple(sorted(flags)) for uid, flags in found.items() if flags}


def check_source_and_store(source: ImageSource, store: StoreAddress) -> None:
    """Raise for a wrong source or store before anything starts or is written.

    Raises
    ------
    SourceError
        If the source names nothing.
    StoreError
        If the store is of another configuration, or is something else.
    """
    source.check()
    if store.folder is None or store.folder.exists():
        store.open(create=True)
