"""What readings need to know of the images of a series."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lidcflow.store.record import VolumeRecord


@dataclass(frozen=True, eq=False)
class Images:
    """The source slices of a series.

    Parameters
    ----------
    series_instance_uid : str
        UID of the series.
    z_mm : (n,) array of float64
        Positions, top of the chest first.
    sop_instance_uids : tuple of str
        The image at each position; one that holds several frames stands at several.
    h_mm : float
        Half the slice spacing.
    slice_thickness_mm : float
        As the header says, else the spacing; what pylidc's clustering measures with.
    rows, columns : int
        Matrix size.
    """

    series_instance_uid: str
    z_mm: NDArray[np.float64]
    sop_instance_uids: tuple[str, ...]
    h_mm: float
    slice_thickness_mm: float
    rows: int
    columns: int

    @cached_property
    def places_mm(self) -> dict[str, list[float]]:
        """Positions by SOPInstanceUID."""
        places: dict[str, list[float]] = {}
        for uid, z_mm in zip(self.sop_instance_uids, self.z_mm.tolist(), strict=True):
            places.setdefault(uid, []).append(z_mm)
        return places

    @property
    def extent_mm(self) -> tuple[float, float]:
        """Lowest and highest z that the slices cover."""
        return float(self.z_mm.min()) - self.h_mm, float(self.z_mm.max()) + self.h_mm


def images_of(record: VolumeRecord) -> Images:
    """Return the source slices of a stored volume."""
    uids, _, z_mm, _ = zip(*record.source_slices, strict=True)
    return Images(
        series_instance_uid=record.series_instance_uid,
        z_mm=np.array(z_mm, dtype=np.float64),
        sop_instance_uids=uids,
        h_mm=record.slice_spacing_mm / 2,
        slice_thickness_mm=record.acquisition.get("slice_thickness_mm") or record.slice_spacing_mm,
        rows=record.rows,
        columns=record.columns,
    )
