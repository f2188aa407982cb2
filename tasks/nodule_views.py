"""Views of a training's nodules for malignancy systems: made once, on the cluster, and kept for their tasks."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

from lidcflow.config import Config
from lidcflow.erase.workspace_files import NODULE_ROWS
from lidcflow.learn.nodule_rows import NoduleRows
from lidcflow.learn.own_malignancy_examples import RatedViews, rated_rows, read_rated_views
from lidcflow.nodules.segmenter import embedded_segmenter
from lidcflow.store.volumes import VolumeStore
from tasks.cluster.open import map_series
from tasks.progress import stage

BATCH = 4
"""Series of one task on the cluster: the segmenter takes half a second for each nodule."""

SPLITS = ("train", "validation", "test")

Uids = tuple[str, ...]
Views = Mapping[str, RatedViews]
"""Views by split; a split without rated nodules is absent."""


def keep_views(folder: Path, config: Config, address: str) -> None:
    """Read what systems see of the nodules in a folder, unless an earlier attempt has; series change hands on Dask.

    Parameters
    ----------
    folder : Path
        With the rows of the nodules; the views are written beside them, a file for each split.
    config : Config
        Where the cubes are.
    address : str
        Of the Dask scheduler.
    """
    table = NoduleRows.load_table(folder / NODULE_ROWS)
    uids = sorted(table["series_instance_uid"].unique())
    if all(_file(folder, split).exists() for split in set(rated_rows(table)["split"])):
        return
    batches = [tuple(uids[start : start + BATCH]) for start in range(0, len(uids), BATCH)]
    work = functools.partial(views_of_batch, rows=folder / NODULE_ROWS, config=config)
    found: dict[Uids, Views] = {}
    with stage("outlines", total=len(uids)) as progress:
        for batch, outcome in map_series(address, work, batches, window=2):
            if isinstance(outcome, Exception):
                raise outcome
            found[batch] = outcome
            progress.advance(len(batch))
    for split in SPLITS:
        if parts := [found[batch][split] for batch in batches if split in found[batch]]:
            RatedViews.joined(parts).save(_file(folder, split))


def views_of_batch(uids: Uids, rows: Path, config: Config) -> dict[str, RatedViews]:
    """Return what systems see of the rated nodules of some series, by split."""
    table = NoduleRows.load_table(rows)
    of_series = table[table["series_instance_uid"].isin(uids)]
    store = VolumeStore.of(config)
    return {
        str(split): read_rated_views(part, store, embedded_segmenter())
        for split, part in of_series.groupby("split")
        if len(rated_rows(part))
    }


def read_views(folder: Path) -> dict[str, RatedViews]:
    """Read the views that were kept in a folder."""
    return {split: RatedViews.load(file) for split in SPLITS if (file := _file(folder, split)).exists()}


def _file(folder: Path, split: str) -> Path:
    return folder / f"views-{split}.npz"
