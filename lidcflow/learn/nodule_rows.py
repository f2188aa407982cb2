"""The nodules that systems of findings are trained and judged on: a row for each, with its cube's place and outline.

Cubes are not among them: they stay in the store, and are read where a system is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lidcflow.errors import TrainingError
from lidcflow.files import whole_file
from lidcflow.labels.match import Images, source_slices_of
from lidcflow.labels.readings import Nodule
from lidcflow.learn.snapshot import Snapshot
from lidcflow.nodules.cubes import CUBE_VOXELS
from lidcflow.nodules.reader_mask import reader_mask
from lidcflow.nodules.stored import CandidateTable, read_candidate_table, read_candidates
from lidcflow.nodules.truth import Consensus, consensus, judge_candidates
from lidcflow.store.record import VolumeRecord
from lidcflow.store.volumes import VolumeStore

COLUMNS = {
    "series_instance_uid": "str",
    "patient_key": "str",
    "split": "str",
    "nodule": "int16",
    "candidate": "int32",
    "voxel_mm": "float64",
    "rating": "float64",
    "readers": "int16",
    "spread": "float64",
    "diameter_mm": "float64",
    "counts": "bool",
    "outlined": "bool",
    "score": "float32",
}
"""``nodule`` is the place among the nodules of the series, ``candidate`` that of its cube in the stored table,
``rating`` and ``spread`` the mean and the standard deviation of its readers' malignancy ratings, ``diameter_mm`` that
of a ball as large as their outlines, ``counts`` whether enough readers marked it and it is large enough to be found,
``outlined`` whether it has a mask, ``score`` the filter's, by which candidates that have changed are told."""

MASK = "mask"
"""Column of the file: the voxels that at least half of the readers outlined, a bit each; empty without a mask."""

LEFT_OUT, COUNTS = "left_out", ("without_outline", "without_cube", "without_cubes")


@dataclass(frozen=True, eq=False)
class NoduleRows:
    """Nodules of a snapshot's patients whose place in the image is known and that a stored cube shows.

    Attributes
    ----------
    table : DataFrame
        Columns `COLUMNS`, ordered by series and nodule.
    masks : (n, 13824) array of uint8
        Bits of (48, 48, 48) voxels, row for row; zeros where there is no mask.
    left_out : dict of str to int
        ``without_outline``: nodules of readings that name no place in the image; ``without_cube``: nodules that no
        candidate with a cube is in; ``without_cubes``: series that were read and have no cubes in the store.
    """

    table: pd.DataFrame
    masks: NDArray[np.uint8]
    left_out: Mapping[str, int]

    def of_split(self, split: str) -> pd.DataFrame:
        """Return the rows of a split; their index leads to `masks`."""
        return self.table[self.table["split"] == split]

    def mask(self, row: int) -> NDArray[np.bool_]:
        """Return the (48, 48, 48) mask of a row, by its index."""
        return np.unpackbits(self.masks[row]).reshape([CUBE_VOXELS] * 3).astype(np.bool_)

    def save(self, file: Path) -> None:
        """Write the rows as Parquet, whole or not at all."""
        outlined = self.table["outlined"].tolist()
        bits = [mask.tobytes() if has else b"" for mask, has in zip(self.masks, outlined, strict=True)]
        table = self.table.assign(**{MASK: bits})
        table.attrs = {LEFT_OUT: dict(self.left_out)}
        with whole_file(file) as draft:
            table.to_parquet(draft, index=False)

    @staticmethod
    def load_table(file: Path) -> pd.DataFrame:
        """Read the table alone: the masks are most of the file.

        Raises
        ------
        TrainingError
            If there is no such file, or one that can't be read.
        """
        try:
            return pd.read_parquet(file, columns=list(COLUMNS)).astype(COLUMNS)
        except (OSError, ValueError, KeyError, TypeError):
            raise _unreadable(file) from None

    @classmethod
    def load(cls, file: Path) -> NoduleRows:
        """Read rows.

        Raises
        ------
        TrainingError
            If there is no such file, or one that can't be read.
        """
        try:
            table = pd.read_parquet(file)
            left_out, table.attrs = {name: int(table.attrs[LEFT_OUT][name]) for name in COUNTS}, {}
            masks = _unpacked(table.pop(MASK).tolist())
            return cls(table.astype(COLUMNS), masks, left_out)
        except (OSError, ValueError, KeyError, TypeError):
            raise _unreadable(file) from None


def _unreadable(file: Path) -> TrainingError:
    return TrainingError(
        f"nodules {file.name}: must be a Parquet file of judged nodules, got none that can be read; train again"
    )


def _unpacked(bits: Sequence[bytes]) -> NDArray[np.uint8]:
    masks = np.zeros((len(bits), CUBE_VOXELS**3 // 8), np.uint8)
    for mask, packed in zip(masks, bits, strict=True):
        if packed:
            mask[:] = np.frombuffer(packed, np.uint8)
    return masks


def find_nodules(
    snapshot: Snapshot,
    store: VolumeStore,
    nodules: Mapping[str, Sequence[Nodule]],
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> NoduleRows:
    """Join the nodules that readers marked with the stored cubes that show them.

    Parameters
    ----------
    snapshot : Snapshot
        Which patient is in which split.
    store : VolumeStore
        The store of its series.
    nodules : mapping of str to sequence of Nodule
        By SeriesInstanceUID; series without an entry are left out: nobody read them.
    on_progress : callable, optional
        Called after each series with how many are done, and how many there are to do.
    """
    series = snapshot.table.drop_duplicates("series_instance_uid").set_index("series_instance_uid")
    facts = series.loc[[uid for uid in series.index if uid in nodules], ["patient_key", "split"]]
    left_out, rows, masks = dict.fromkeys(COUNTS, 0), [], []
    for done, record in enumerate(store.records(sorted(facts.index)), start=1):
        uid = record.series_instance_uid
        known = {"series_instance_uid": uid, **facts.loc[uid]}
        for row, mask in _found(record, store, nodules[uid], left_out):
            rows.append(known | row)
            masks.append(mask)
        on_progress(done, len(facts))
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    packed = np.stack(masks) if masks else np.empty((0, CUBE_VOXELS**3 // 8), np.uint8)
    return NoduleRows(table, packed, left_out)


Row = tuple[dict[str, Any], NDArray[np.uint8]]


def _found(record: VolumeRecord, store: VolumeStore, nodules: Sequence[Nodule], left_out: dict[str, int]) -> list[Row]:
    """Return the nodules of a series with their masks, and count those that are left out."""
    stored = read_candidate_table(store, record.series_instance_uid)
    if stored is None or stored.cube_candidates is None:
        left_out["without_cubes"] += 1
        return []
    images, pixel_mm = source_slices_of(record), (record.row_spacing_mm, record.column_spacing_mm)
    inside, found = judge_candidates(stored.table, nodules, images, pixel_mm).nodules, []
    for number, nodule in enumerate(nodules):
        agreed = consensus(nodule, images, pixel_mm)
        candidate = None if agreed is None else _nearest(stored, inside == number, agreed, pixel_mm)
        left_out["without_outline"] += agreed is None
        left_out["without_cube"] += agreed is not None and candidate is None
        if agreed is not None and candidate is not None:
            found.append(_row(nodule, agreed, _Shown(stored, candidate, number, images, pixel_mm)))
    return found


def _nearest(
    stored: CandidateTable, inside: NDArray[np.bool_], agreed: Consensus, pixel_mm: tuple[float, float]
) -> int | None:
    """Return the candidate in a nodule whose cube shows it best: the one nearest to its centre."""
    with_cube = stored.cube_candidates
    if with_cube is None or not inside[with_cube].any():
        return None
    shown = with_cube[inside[with_cube]]
    places = np.column_stack([stored.table[name][shown] for name in ("z_mm", "row", "column")]).astype(np.float64)
    return int(shown[np.linalg.norm(places * (1, *pixel_mm) - agreed.centre_mm, axis=1).argmin()])


@dataclass(frozen=True, eq=False)
class _Shown:
    """A nodule's place among those of its series, and the candidate whose cube shows it."""

    stored: CandidateTable
    candidate: int
    nodule: int
    images: Images
    pixel_mm: tuple[float, float]

    @property
    def voxel_mm(self) -> float:
        """Edge of the voxels of the cube."""
        cubes, edges_mm = self.stored.cube_candidates, self.stored.cube_voxel_mm
        return 0.0 if cubes is None or edges_mm is None else float(edges_mm[cubes == self.candidate][0])


def _row(nodule: Nodule, agreed: Consensus, shown: _Shown) -> Row:
    candidate = shown.stored.table[shown.candidate]
    place = (float(candidate["z_mm"]), float(candidate["row"]), float(candidate["column"]))
    mask = reader_mask(nodule, shown.images, place, shown.voxel_mm, shown.pixel_mm, side=CUBE_VOXELS)
    ratings = [reading.malignancy for reading in nodule.readings]
    row = {
        "nodule": shown.nodule,
        "candidate": shown.candidate,
        "voxel_mm": shown.voxel_mm,
        "rating": np.mean(ratings),
        "readers": len(ratings),
        "spread": np.std(ratings),
        "diameter_mm": agreed.diameter_mm,
        "counts": agreed.counts,
        "outlined": mask is not None and bool(mask.any()),
        "score": candidate["score"],
    }
    return row, np.packbits(np.zeros(CUBE_VOXELS**3, np.bool_) if mask is None else mask.ravel())


def read_nodule_cubes(rows: pd.DataFrame, store: VolumeStore) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """Read the cubes of nodules of one series.

    Parameters
    ----------
    rows : DataFrame
        Rows of one series.
    store : VolumeStore
        Where its candidates are.

    Returns
    -------
    (n, 48, 48, 48) array of int16
        HU.
    (n,) array of float64
        Edge of the voxels of each, in mm.

    Raises
    ------
    TrainingError
        If the candidates of the series have changed since their nodules were found.
    """
    uid = str(rows["series_instance_uid"].iloc[0])
    stored, places = read_candidates(store, uid, cubes=True), rows["candidate"].to_numpy()
    if stored is None or stored.cubes is None or places.max() >= len(stored.table):
        raise _changed(uid)
    if not np.array_equal(stored.table["score"][places], rows["score"].to_numpy()):
        raise _changed(uid)
    cubes = [stored.cubes.of(place) for place in places.tolist()]
    shown = [one for one in cubes if one is not None]
    if len(shown) < len(cubes):
        raise _changed(uid)
    return np.stack([hu for hu, _ in shown]), np.array([mm for _, mm in shown])


def _changed(uid: str) -> TrainingError:
    return TrainingError(
        f"series {uid}: must have the cubes that its nodules were found in, got others or damaged ones; "
        "run lidcflow repair --verify, and train again"
    )
