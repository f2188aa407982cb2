"""The candidates that a detector is trained and judged on: a row for each, with what the readers say of it.

Patches are not among them: they stay in the store, and are read where the detector is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lidcflow.errors import TrainingError
from lidcflow.files import whole_file
from lidcflow.labels.match import source_slices_of
from lidcflow.labels.readings import Nodule
from lidcflow.learn.snapshot import Snapshot
from lidcflow.nodules.stored import read_candidate_table
from lidcflow.nodules.truth import Kind, consensus, judge_candidates
from lidcflow.store.record import VolumeRecord
from lidcflow.store.volumes import VolumeStore

SPLITS = ("train", "validation")
"""Splits that a detector is trained on: test patients are excluded."""

COLUMNS = {
    "series_instance_uid": "str",
    "patient_key": "str",
    "split": "str",
    "candidate": "int32",
    "kind": "int8",
    "nodule": "int16",
    "score": "float32",
}
"""``candidate`` is the place in the stored table, ``kind`` a `lidcflow.nodules.truth.Kind`, ``nodule`` the nodule of
the series that the candidate is in (-1: none), ``score`` the filter's."""

NODULES = "nodules"


@dataclass(frozen=True, eq=False)
class CandidateRows:
    """Candidates of training and validation patients, and how many nodules there are to be found.

    Attributes
    ----------
    table : DataFrame
        Columns `COLUMNS`, ordered by series and candidate.
    nodules : mapping of str to int
        Nodules that count, found by a candidate or not, of every series that was searched.
    """

    table: pd.DataFrame
    nodules: Mapping[str, int]

    def of_split(self, split: str) -> pd.DataFrame:
        """Return the rows of a split."""
        return self.table[self.table["split"] == split]

    def positives(self, split: str) -> int:
        """Count the candidates in nodules."""
        return int((self.of_split(split)["kind"] == Kind.NODULE).sum())

    def save(self, file: Path) -> None:
        """Write the rows as Parquet, whole or not at all."""
        table = self.table.copy()
        table.attrs = {NODULES: dict(self.nodules)}
        with whole_file(file) as draft:
            table.to_parquet(draft, index=False)

    @classmethod
    def load(cls, file: Path) -> CandidateRows:
        """Read rows.

        Raises
        ------
        TrainingError
            If there is no such file, or one that can't be read.
        """
        try:
            table = pd.read_parquet(file)
            nodules, table.attrs = dict(table.attrs[NODULES]), {}
            return cls(table.astype(COLUMNS), nodules)
        except (OSError, ValueError, KeyError, TypeError):
            raise TrainingError(
                f"candidates {file.name}: must be a Parquet file of judged candidates, got none that can be read; "
                "train again"
            ) from None


def judge_stored(
    snapshot: Snapshot,
    store: VolumeStore,
    nodules: Mapping[str, Sequence[Nodule]],
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> CandidateRows:
    """Join the stored candidates of training and validation patients with the nodules that readers marked.

    Parameters
    ----------
    snapshot : Snapshot
        Says which patient is in which split.
    store : VolumeStore
        The store of its series; those without candidates are left out.
    nodules : mapping of str to sequence of Nodule
        By SeriesInstanceUID; series without an entry are left out: nobody read them.
    on_progress : callable, optional
        Called after each series with how many are done, and how many there are to do.
    """
    series = snapshot.table.drop_duplicates("series_instance_uid")
    series = series[series["split"].isin(SPLITS) & series["series_instance_uid"].isin(list(nodules))]
    parts, counts = [], {}
    facts = series.set_index("series_instance_uid")[["patient_key", "split"]]
    for done, record in enumerate(store.records(facts.index.tolist()), start=1):
        judged = _judged(record, store, nodules[record.series_instance_uid])
        if judged is not None:
            uid = record.series_instance_uid
            parts.append(judged[0].assign(series_instance_uid=uid, **facts.loc[uid]))
            counts[uid] = judged[1]
        on_progress(done, len(facts))
    empty = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in COLUMNS.items()})
    return CandidateRows(pd.concat([empty, *parts], ignore_index=True)[list(COLUMNS)].astype(COLUMNS), counts)


def _judged(record: VolumeRecord, store: VolumeStore, nodules: Sequence[Nodule]) -> tuple[pd.DataFrame, int] | None:
    """Return the candidates of a series, and how many nodules are to be found; None where it has no candidates."""
    stored = read_candidate_table(store, record.series_instance_uid)
    if stored is None or not len(stored.table):
        return None
    images, pixel_mm = source_slices_of(record), (record.row_spacing_mm, record.column_spacing_mm)
    truth = judge_candidates(stored.table, nodules, images, pixel_mm)
    agreed = [consensus(nodule, images, pixel_mm) for nodule in nodules]
    rows = {
        "candidate": np.arange(len(stored.table)),
        "kind": truth.kinds,
        "nodule": truth.nodules,
        "score": stored.table["score"],
    }
    return pd.DataFrame(rows), sum(one is not None and one.counts for one in agreed)


def series_of(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the rows of each series, in order."""
    for uid, rows in table.groupby("series_instance_uid", sort=True):
        yield str(uid), rows
