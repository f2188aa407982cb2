"""The series of the public archive that are simulated: their slices, sizes and transfer syntaxes, from its index."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.simulation.model import Job
from lidcflow.source.idc import index_file

CHEST = "CHEST|LUNG|THORAX"
"""Any of these in BodyPartExamined makes a CT series one of the chest: what its header says, and nothing else."""

PLAIN_BYTES = 2 * 512 * 512
MB = 1e6

SLICE_S = {
    "plain": 0.336e-3,
    "1.2.840.10008.1.2.1.99": 2.30e-3,
    "1.2.840.10008.1.2.5": 1.73e-3,
    "1.2.840.10008.1.2.4.57": 4.25e-3,
    "1.2.840.10008.1.2.4.70": 4.25e-3,
    "1.2.840.10008.1.2.4.80": 5.99e-3,
    "1.2.840.10008.1.2.4.81": 6.11e-3,
    "1.2.840.10008.1.2.4.90": 33.1e-3,
    "1.2.840.10008.1.2.4.91": 11.3e-3,
}
"""CPU time of a slice of 512 x 512 from its bytes to its slab, by transfer syntax; docs/measured.md has the figures."""

PLAIN = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"}


@dataclass(frozen=True)
class Series:
    """Every series of a data set: a row each."""

    name: str
    table: pd.DataFrame

    @property
    def files(self) -> int:
        """Objects in all."""
        return int(self.table["instanceCount"].sum())

    @property
    def megabytes(self) -> float:
        """Size in all."""
        return float(self.table["series_size_MB"].sum())

    def jobs(self, plain_slice_s: float = SLICE_S["plain"]) -> list[Job]:
        """Turn series into jobs, in the order of their UIDs, which says nothing of their sizes.

        Parameters
        ----------
        plain_slice_s : float
            CPU time of a slice that is not compressed, 512 x 512.
        """
        slice_s = {**SLICE_S, "plain": plain_slice_s}
        return [
            Job(slices, megabytes, slices * _slice_s(syntax, slices, megabytes, slice_s))
            for slices, megabytes, syntax in self.table[
                ["instanceCount", "series_size_MB", "TransferSyntaxUID"]
            ].itertuples(index=False)
        ]


def _slice_s(syntax: str | None, slices: int, megabytes: float, slice_s: dict[str, float]) -> float:
    """Return the time of one slice: plain ones take as long as they have pixels."""
    if syntax in PLAIN or syntax not in slice_s:
        return slice_s["plain"] * max(0.1, MB * megabytes / slices / PLAIN_BYTES)
    return slice_s[syntax]


def lidc() -> Series:
    """LIDC-IDRI's CT."""
    return Series("LIDC-IDRI", _table(pc.field("collection_id") == "lidc_idri"))


def chest() -> Series:
    """Every CT series of the archive whose BodyPartExamined names the chest, see `CHEST`."""
    named = pc.match_substring_regex(pc.utf8_upper(pc.field("BodyPartExamined")), CHEST)
    return Series("chest CT of the archive", _table(named))


def _table(wanted: pc.Expression) -> pd.DataFrame:
    columns = ["SeriesInstanceUID", "instanceCount", "series_size_MB", "TransferSyntaxUID"]
    found = pq.read_table(index_file(), columns=columns, filters=(pc.field("Modality") == "CT") & wanted)
    table = found.to_pandas().sort_values("SeriesInstanceUID", ignore_index=True)
    return table.astype({"instanceCount": np.int64, "series_size_MB": np.float64})
