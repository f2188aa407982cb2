"""The exact set of slices that models are trained and measured on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lidcflow.config import SplitConfig
from lidcflow.errors import TrainingError
from lidcflow.files import whole_file
from lidcflow.labels.slices import CLASS_NAMES, NON_NODULE
from lidcflow.learn.digest import rows_digest
from lidcflow.learn.redact import ERASED
from lidcflow.learn.splits import SPLITS, Split, split_of

Balance = Literal["equal", "cap_non_nodule", "none"]

COLUMNS = {
    "series_instance_uid": "str",
    "patient_key": "str",
    "slice": "int16",
    "label": "int8",
    "split": "str",
    "volume_digest": "str",
}


class SnapshotVolume(Protocol):
    """Interface of a stored volume for a snapshot; `lidcflow.store.volumes.VolumeRecord` has it."""

    @property
    def series_instance_uid(self) -> str: ...
    @property
    def patient_key(self) -> str: ...
    @property
    def volume_digest(self) -> str: ...


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A frozen training set: its patients, slices, labels, splits and volumes.

    Attributes
    ----------
    table : DataFrame
        A row for each slice: series_instance_uid, patient_key, slice (from 1, top of the chest first),
        label (0 non-nodule, 1 benign, 2 malignant), split, volume_digest; ordered by series and slice.
    digest : str
        SHA-256 of the rows, 64 hexadecimal digits; the order they came in does not matter.
    fixed : DataFrame, optional
        Which training slices one training counts, see `lidcflow.learn.training_set`; None leaves that to its balance.
    """

    table: pd.DataFrame
    digest: str
    fixed: pd.DataFrame | None = None

    def rows(self, split: Split) -> pd.DataFrame:
        """Return the rows of one split, at natural prevalence."""
        return self.table[self.table["split"] == split]

    def save(self, file: Path) -> None:
        """Write the table as Parquet with its digest, whole or not at all."""
        table = self.table.copy(deep=False)  # attrs are shared by a plain reference, and the caller's stay as they are
        table.attrs["digest"] = self.digest
        with whole_file(file) as draft:
            table.to_parquet(draft, index=False)

    @classmethod
    def load(cls, file: Path) -> Snapshot:
        """Read a snapshot and check it again.

        Raises
        ------
        TrainingError
            If there is no such file, its rows are not those that were saved, or can't be trained on.
        """
        return snapshot_in(*read_table(file), file)


def read_table(file: Path) -> tuple[pd.DataFrame, dict[Any, Any]]:
    """Read the table of a snapshot's file, with all of its columns and the metadata beside it.

    pandas copies the attributes of a table, here the nodules of thousands of series, with every step that is done with
    it: the table has none.

    Raises
    ------
    TrainingError
        If there is no such file, or no table of slices in it.
    """
    if not file.is_file():
        raise TrainingError(f"snapshot {file.name}: the file must exist; train to make a new one")
    try:
        table = pd.read_parquet(file)
        beside, table.attrs = dict(table.attrs), {}
        return table.astype(COLUMNS), beside
    except (OSError, ValueError, KeyError):
        raise TrainingError(
            f"snapshot {file.name}: must be a Parquet file of slices, got one that can't be read; "
            "train to make a new one"
        ) from None


def snapshot_in(table: pd.DataFrame, beside: Mapping[Any, Any], file: Path) -> Snapshot:
    """Return the snapshot of what `read_table` read, once it is certain that its rows are those that were saved.

    Raises
    ------
    TrainingError
        If they are not, or can't be trained on.
    """
    if erased := beside.get(ERASED):
        raise TrainingError(
            f"snapshot {file.name}: must hold all of its series, but {erased['series']} were erased on "
            f"{erased['on']}; train to make a new one"
        )
    snapshot = _snapshot(table)
    if snapshot.digest != beside.get("digest"):
        raise TrainingError(
            f"snapshot {file.name}: rows must be those that were saved, got digest {snapshot.digest[:12]} "
            f"instead of {str(beside.get('digest'))[:12]}; train to make a new one"
        )
    return snapshot


def build_snapshot(
    records: Iterable[SnapshotVolume], labels: Mapping[str, NDArray[np.int8]], split: SplitConfig
) -> Snapshot:
    """Put volumes and labels together and decide the split of each patient.

    Parameters
    ----------
    records : iterable of SnapshotVolume
        Stored volumes; those without labels are left out.
    labels : mapping of SeriesInstanceUID to (slices,) array of int8
        From `lidcflow.labels.slices.slab_labels`.
    split : SplitConfig
        Seed and shares.

    Raises
    ------
    TrainingError
        If nothing is labelled, a split is empty, a class is absent, or a patient is in two splits.
    """
    labelled = [record for record in records if record.series_instance_uid in labels]
    if not labelled:
        raise TrainingError(
            "snapshot: at least one stored series must have labels, got none; preprocess series of LIDC-IDRI"
        )
    labelled.sort(key=lambda record: record.series_instance_uid)
    return _snapshot(_rows(labelled, [labels[record.series_instance_uid] for record in labelled], split))


def sector_rows(
    snapshot: Snapshot, slices_of_sector: range, balance: Balance, cap: int | None, seed: int
) -> pd.DataFrame:
    """Return the rows of a sector: training slices balanced, validation and test at natural prevalence.

    Parameters
    ----------
    snapshot : Snapshot
        All slices.
    slices_of_sector : range
        Slices from 0, from `lidcflow.volume.sectors.sector_slices`.
    balance : "equal", "cap_non_nodule" or "none"
        ``equal`` keeps of each class as many slices as the rarest has, or `cap`. ``cap_non_nodule``
        keeps as many non-nodule slices as there are nodule slices, or `cap`. ``none`` keeps all, or
        `cap` of each class.
    cap : int, optional
        Most slices of a class.
    seed : int
        Same seed and snapshot, same rows. Neither it nor `balance` nor `cap` matters where the snapshot is fixed.

    Returns
    -------
    DataFrame
        Columns and order of `Snapshot.table`.
    """
    inside = _in_sector(snapshot.table, slices_of_sector)
    training = inside["split"] == "train"
    if snapshot.fixed is None:
        kept = _balanced(inside[training], balance, cap, seed)
    else:
        weights = snapshot.fixed[weight_column(snapshot, slices_of_sector)]
        kept = inside[training & (weights.loc[inside.index] > 0)]
    return pd.concat([kept, inside[~training]]).sort_index()


def weight_column(snapshot: Snapshot, slices_of_sector: range) -> Literal["weight", "weight_all_sectors"]:
    """Name the column of a fixed training set that belongs to a sector, or to the model of the whole chest."""
    whole = len(slices_of_sector) == snapshot.table["slice"].max()
    return "weight_all_sectors" if whole else "weight"


def class_counts(rows: pd.DataFrame) -> tuple[int, int, int]:
    """Count the slices of each class: non-nodule, benign, malignant."""
    counts = np.bincount(rows["label"].to_numpy(), minlength=len(CLASS_NAMES))
    return int(counts[0]), int(counts[1]), int(counts[2])


def lacking_classes(snapshot: Snapshot, slices_of_sector: range) -> list[int]:
    """Return the classes without a training slice in a sector: such a sector falls back to the all-sector model."""
    counts = class_counts(_in_sector(snapshot.rows("train"), slices_of_sector))
    return [label for label, count in enumerate(counts) if count == 0]


def _in_sector(rows: pd.DataFrame, slices_of_sector: range) -> pd.DataFrame:
    return rows[rows["slice"].between(slices_of_sector.start + 1, slices_of_sector.stop)]


def _balanced(rows: pd.DataFrame, balance: Balance, cap: int | None, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    limits = _limits(class_counts(rows), balance, cap)
    classes = [rows[rows["label"] == label] for label in range(len(limits))]
    return pd.concat(
        [of.sample(min(limit, len(of)), random_state=random) for of, limit in zip(classes, limits, strict=True)]
    )


def _limits(counts: tuple[int, int, int], balance: Balance, cap: int | None) -> list[int]:
    """Most slices of each class."""
    if balance == "equal":
        rarest = min((count for count in counts if count), default=0)
        return [cap or rarest] * len(counts)
    if balance == "cap_non_nodule":
        return [cap or sum(counts[1:]), counts[1], counts[2]]
    return [cap or max(counts)] * len(counts)


def _rows(records: Sequence[SnapshotVolume], labels: Sequence[NDArray[np.int8]], split: SplitConfig) -> pd.DataFrame:
    """Make a row of each slice; what all slices of a series have in common is written once and repeated."""
    sizes = [len(of_series) for of_series in labels]
    series = np.repeat(np.arange(len(records)), sizes)

    def of_each(values: Iterable[str]) -> pd.Series:
        return pd.Series(list(values), dtype="str").take(series).reset_index(drop=True)

    return pd.DataFrame(
        {
            "series_instance_uid": of_each(record.series_instance_uid for record in records),
            "patient_key": of_each(record.patient_key for record in records),
            "slice": np.concatenate([np.arange(1, size + 1) for size in sizes]),
            "label": np.concatenate(labels),
            "split": of_each(split_of(record.patient_key, split) for record in records),
            "volume_digest": of_each(record.volume_digest for record in records),
        }
    )


def _snapshot(rows: pd.DataFrame) -> Snapshot:
    """Bring rows into their canonical order, check and hash them."""
    table = ordered_rows(rows[list(COLUMNS)].astype(COLUMNS))
    _check_patients(table)
    _check_slices(table)
    _check_classes(table)
    return Snapshot(table, rows_digest(table))


def ordered_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows ordered by series and slice; rows that are in this order, as in a snapshot's file, are not copied."""
    uids, slices = rows["series_instance_uid"], rows["slice"].to_numpy()
    before, after = uids.iloc[:-1].reset_index(drop=True), uids.iloc[1:].reset_index(drop=True)
    rising = (before == after).to_numpy() & (slices[:-1] <= slices[1:]) | (before < after).to_numpy()
    if rising.all():
        return rows.reset_index(drop=True)
    return rows.sort_values(["series_instance_uid", "slice"], ignore_index=True)


def _check_patients(table: pd.DataFrame) -> None:
    sides = table.groupby("patient_key")["split"].nunique()
    if (sides > 1).any():
        raise TrainingError(
            f"snapshot: a patient must be in one split, got {int((sides > 1).sum())} in two or more, "
            f"the first with key {sides.index[sides > 1][0]}; train to make a new snapshot"
        )


def _check_slices(table: pd.DataFrame) -> None:
    twice = table.duplicated(["series_instance_uid", "slice"])
    if twice.any():
        uid = table["series_instance_uid"][twice].iloc[0]
        raise TrainingError(f"snapshot: a slice must be in once, got series {uid} twice; keep one of its volumes")
    sizes = table.groupby("series_instance_uid").size()
    if sizes.nunique() > 1:
        raise TrainingError(
            f"snapshot: all volumes must have the same number of slices, got {sizes.min()} to {sizes.max()}; "
            "preprocess them with one configuration"
        )


def _check_classes(table: pd.DataFrame) -> None:
    way_out = "add series, choose another split.seed or larger shares"
    for split in SPLITS:
        if not (table["split"] == split).any():
            patients = table["patient_key"].nunique()
            raise TrainingError(f"snapshot: {split} must hold at least one patient, got none of {patients}; {way_out}")
    training = class_counts(table[table["split"] == "train"])
    for name, count in zip(CLASS_NAMES, training, strict=True):
        if count == 0:
            raise TrainingError(f"snapshot: train must hold slices of each class, got no {name} slice; {way_out}")
    if not (table["label"][table["split"] == "validation"] > NON_NODULE).any():
        raise TrainingError(f"snapshot: validation must hold a slice with a nodule, got none; {way_out}")
