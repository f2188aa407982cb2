"""Remove the rows of erased series from training sets; the other rows stay."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from lidcflow.files import whole_file
from lidcflow.learn.splits import SPLITS

ERASED = "erased"
"""Attribute of a snapshot's table: how many series and patients were taken out, and when."""


@dataclass(frozen=True)
class Share:
    """Rows of a snapshot that belong to some series.

    Parameters
    ----------
    series, patients : int
        How many.
    splits : frozenset of str
        Which splits they are in.
    """

    series: int
    patients: int
    splits: frozenset[str]

    def sentence(self, on: str) -> str:
        """Describe what was erased.

        Examples
        --------
        >>> Share(2, 1, frozenset()).sentence("2026-11-24")
        '2 series of 1 patient in its snapshot were erased on 2026-11-24'
        """
        patients = "1 patient" if self.patients == 1 else f"{self.patients} patients"
        return f"{self.series} series of {patients} in its snapshot were erased on {on}"


def snapshot_files(workspace: Path) -> list[Path]:
    """List the snapshots of a workspace."""
    return sorted((workspace / "snapshots").glob("*.parquet"))


def share_of(file: Path, uids: Collection[str]) -> Share:
    """Count what a snapshot holds of some series."""
    table = pd.read_parquet(file, columns=["series_instance_uid", "patient_key", "split"])
    rows = table[table["series_instance_uid"].isin(list(uids))]
    splits = SPLITS if _is_cross_validated(table.attrs) else map(str, rows["split"].unique())
    return Share(
        series=rows["series_instance_uid"].nunique(),
        patients=rows["patient_key"].nunique(),
        splits=frozenset(splits),
    )


def _is_cross_validated(attributes: Mapping[Any, Any]) -> bool:
    """Return whether every patient of a snapshot is in every split, in one fold or another."""
    settings = attributes.get("training", {}).get("settings", {})
    return bool(settings.get("train", {}).get("folds"))


def owners_in(file: Path) -> list[tuple[str, None, str]]:
    """List the series in a snapshot, each with its patient's keyed hash; it names no study."""
    table = pd.read_parquet(file, columns=["series_instance_uid", "patient_key"]).drop_duplicates()
    return [(str(uid), None, str(key)) for uid, key in table.itertuples(index=False)]


def redact(file: Path, uids: Collection[str], on: str) -> None:
    """Take the rows of series out of a snapshot's file; it keeps its digest, but is not to be trained on again.

    Parameters
    ----------
    file : Path
        Parquet file, replaced whole or not at all.
    uids : collection of str
        SeriesInstanceUIDs.
    on : str
        Date of the erasure.
    """
    table = pd.read_parquet(file)
    beside, table.attrs = dict(table.attrs), {}  # pandas would copy them, all nodules, with every step
    gone = table["series_instance_uid"].isin(list(uids))
    before: dict[str, Any] = beside.get(ERASED) or {"series": 0}
    kept = table[~gone].reset_index(drop=True)
    kept.attrs = _without_nodules(beside, uids) | {
        ERASED: {"series": before["series"] + table["series_instance_uid"][gone].nunique(), "on": on}
    }
    with whole_file(file) as draft:
        kept.to_parquet(draft, index=False)


def _without_nodules(attributes: dict[Any, Any], uids: Collection[str]) -> dict[Any, Any]:
    """Remove the nodules of series from a training's file about its held-out patients."""
    if "training" not in attributes:
        return attributes
    training = attributes["training"]
    nodules = {uid: found for uid, found in training["nodules"].items() if uid not in set(uids)}
    return attributes | {"training": training | {"nodules": nodules}}
