"""Match readings to the images of their series, and report each reading that fits none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lidcflow.labels.readings import MarkedSlice, Problem, Reading, UnusedReason
from lidcflow.store.record import VolumeRecord

ROUNDING_MM = 0.01
"""Positions are written with two decimals or more."""

BORDER = 1
"""Outlines may lie on the first pixels outside of a nodule, and so just outside of the image."""

_Wrong = tuple[UnusedReason, str]


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


def source_slices_of(record: VolumeRecord) -> Images:
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


def match_readings(readings: Iterable[Reading], images: Images) -> tuple[list[Reading], list[Problem]]:
    """Set the position of every mark to that of its image, and find what does not fit.

    Parameters
    ----------
    readings : iterable of Reading
        Of one series.
    images : Images
        Its source slices.

    Returns
    -------
    list of Reading
        Those that fit.
    list of Problem
        One for each that doesn't.
    """
    placed: list[Reading] = []
    problems: list[Problem] = []
    for reading in readings:
        marks = [_placed(mark, images) for mark in reading.marks]
        wrong = [mark for mark in marks if not isinstance(mark, MarkedSlice)] or _wrong_range(reading, images)
        if wrong:
            problems.append(Problem(reading.origin, *wrong[0], reading.series_instance_uid))
        else:
            placed.append(replace(reading, marks=tuple(mark for mark in marks if isinstance(mark, MarkedSlice))))
    return placed, problems


def _placed(mark: MarkedSlice, images: Images) -> MarkedSlice | _Wrong:
    if mark.matrix and mark.matrix != (images.rows, images.columns):
        mark = replace(mark, points=None)
    if mark.points is not None and _leaves_image(mark, images):
        return UnusedReason.OUTSIDE_IMAGE, (
            f"outlines must lie within the {images.rows} rows and {images.columns} columns of the image, got row "
            f"{mark.points[:, 0].max()} and column {mark.points[:, 1].max()} at most; check which images were read"
        )
    if mark.sop_instance_uid:
        return _at_image(mark, images)
    if mark.z_mm is None or not _is_inside(mark.z_mm, images):
        return _outside(f"z = {mark.z_mm} mm", images)
    return mark


def _at_image(mark: MarkedSlice, images: Images) -> MarkedSlice | _Wrong:
    places_mm = images.places_mm.get(mark.sop_instance_uid or "")
    if places_mm is None:
        return UnusedReason.UNKNOWN_IMAGE, (
            f"the image must be one of the series, got SOPInstanceUID {mark.sop_instance_uid}; "
            "check the UID, or preprocess the series that was read"
        )
    if mark.z_mm is None and len(places_mm) > 1:
        return UnusedReason.UNKNOWN_IMAGE, (
            f"the position must be told where an image holds several frames, got SOPInstanceUID "
            f"{mark.sop_instance_uid} alone; give z in mm"
        )
    told_mm = places_mm[0] if mark.z_mm is None else mark.z_mm
    z_mm = min(places_mm, key=lambda place_mm: abs(place_mm - told_mm))
    if abs(z_mm - told_mm) > images.h_mm + ROUNDING_MM:
        return UnusedReason.Z_DIFFERS, (
            f"z must be that of the image named beside it, {z_mm:.2f} mm, got {told_mm:.2f} mm; "
            "check which images were read"
        )
    return replace(mark, z_mm=z_mm)


def _wrong_range(reading: Reading, images: Images) -> list[_Wrong]:
    if reading.z_range_mm is None or all(_is_inside(z_mm, images) for z_mm in reading.z_range_mm):
        return []
    low_mm, high_mm = reading.z_range_mm
    return [_outside(f"z = {low_mm:.2f} to {high_mm:.2f} mm", images)]


def _outside(got: str, images: Images) -> _Wrong:
    low_mm, high_mm = images.extent_mm
    return UnusedReason.Z_OUTSIDE, (
        f"a nodule must lie within its series, z = {low_mm:.2f} to {high_mm:.2f} mm, got {got}; "
        "check the sign and the series"
    )


def _is_inside(z_mm: float, images: Images) -> bool:
    low_mm, high_mm = images.extent_mm
    return low_mm - ROUNDING_MM <= z_mm <= high_mm + ROUNDING_MM


def _leaves_image(mark: MarkedSlice, images: Images) -> bool:
    points = mark.points
    if points is None or not len(points):
        return True
    last = (images.rows - 1 + BORDER, images.columns - 1 + BORDER)
    return bool((points < -BORDER).any() or (points > last).any())
