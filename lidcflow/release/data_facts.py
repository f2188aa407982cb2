"""Counts of the data behind a release, for its card: patients, scanners, slice thickness."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from lidcflow.learn.snapshot import Snapshot
from lidcflow.learn.splits import SPLITS
from lidcflow.release.outcome import DataFacts
from lidcflow.stats.estimate import ClassCounts

MOST_VALUES = 8
"""Values of an attribute that are named; kernels have dozens of names."""

ALL = "all folds"
"""Name under which the patients of a cross-validation are counted."""

UNKNOWN, OTHERS = "not known", "others"


def data_facts(snapshot: Snapshot, acquisitions: Iterable[Mapping[str, Any]], *, folds: bool = False) -> DataFacts:
    """Count patients, series and slices by split, and series by how they were acquired.

    Parameters
    ----------
    snapshot : Snapshot
        All slices.
    acquisitions : iterable of mappings
        Scanner and protocol of each series, as `VolumeRecord.acquisition`.
    folds : bool
        Whether the patients change sides in a cross-validation: they are counted together.
    """
    rows = {ALL: snapshot.table} if folds else {split: snapshot.rows(split) for split in SPLITS}
    acquired = list(acquisitions)
    thicknesses = [one["slice_thickness_mm"] for one in acquired if one.get("slice_thickness_mm")]
    contrast = {True: "with", False: "without", None: UNKNOWN}
    return DataFacts(
        patients={split: int(of["patient_key"].nunique()) for split, of in rows.items()},
        series={split: int(of["series_instance_uid"].nunique()) for split, of in rows.items()},
        slices={split: ClassCounts.of(of["label"].to_numpy()) for split, of in rows.items()},
        manufacturers=_commonest(str(one.get("manufacturer") or UNKNOWN) for one in acquired),
        kernels=_commonest(str(one.get("kernel") or UNKNOWN) for one in acquired),
        contrast=_commonest(contrast[one.get("contrast")] for one in acquired),
        slice_thickness_mm=_spread(thicknesses) if thicknesses else None,
    )


def _spread(values: list[float]) -> tuple[float, float, float]:
    return float(min(values)), float(np.median(values)), float(max(values))


def _commonest(values: Iterable[str]) -> dict[str, int]:
    counts = Counter(values).most_common()
    named, rest = dict(counts[:MOST_VALUES]), sum(count for _, count in counts[MOST_VALUES:])
    return named | ({OTHERS: rest} if rest else {})
