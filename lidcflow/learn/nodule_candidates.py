"""Candidates of real series as images to train the detector on: six planes each, wider than what the network sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from lidcflow.dicom.records import Series
from lidcflow.errors import TrainingError
from lidcflow.labels.lidc import LidcNodule, lidc_scan, nodules_of
from lidcflow.nodules.candidates import Candidates, candidates_of
from lidcflow.nodules.grid import Scan
from lidcflow.nodules.window import PIXEL_MM, windowed
from lidcflow.pixels.decode import hounsfield_slice
from lidcflow.pixels.hounsfield import AIR_HU
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_folder

SIDE = 72
"""Pixels of `PIXEL_MM` along an image: a patch of 48 pixels may be turned by 45 degrees, or seen from farther."""

READERS = 3
"""Readers who make a mark a nodule; marks of fewer are neither nodule nor other tissue."""

LEAST_RADIUS_MM = 3.0
"""A candidate this near to a nodule's middle has found it, however small it is."""

MARGIN_MM = 6.0
"""Around a nodule, where candidates are neither."""

OTHER, BESIDE = -1, -2
"""A candidate in other tissue, and one so close to a nodule that it is neither."""

OBLIQUE = float(np.sqrt(0.5))

PLANES = (
    ((0, 1, 0), (0, 0, 1)),
    ((1, 0, 0), (0, 0, 1)),
    ((1, 0, 0), (0, 1, 0)),
    ((OBLIQUE, OBLIQUE, 0), (0, 0, 1)),
    ((OBLIQUE, 0, OBLIQUE), (0, 1, 0)),
    ((0, 1, 0), (OBLIQUE, 0, OBLIQUE)),
)
"""Directions down and across: axial, coronal, sagittal, and three halfway between two of them."""

TUMOURS = {
    "1.3.6.1.4.1.14519.5.2.1.4320.7007.279704545205332033572331095200": ((18.3, 327.0, 148.0), 19.0),
}
"""Tumours in series without readings, located by eye: slice, row, column, and radius in mm."""


@dataclass(frozen=True)
class CandidateImages:
    """The candidates of one series with their truth.

    Attributes
    ----------
    series_instance_uid : str
    candidates : Candidates
        Best first, by the filter.
    nodule : (n,) array of int8
        Which nodule of the series a candidate lies in, from 0; -1 for other tissue, -2 close to a nodule.
    nodule_readers : (nodules,) array of int8
        Readers who marked each nodule.
    images : (n, 6, 72, 72) array of uint8
        `PLANES` through each, in the detector's window.
    pixel_mm : two floats
        Distance of the series' rows and columns.
    """

    series_instance_uid: str
    candidates: Candidates
    nodule: NDArray[np.int8]
    nodule_readers: NDArray[np.int8]
    images: NDArray[np.uint8]
    pixel_mm: tuple[float, float]

    @property
    def readers(self) -> NDArray[np.int8]:
        """Readers of the nodule that each candidate lies in; 0 for other tissue, -1 close to a nodule."""
        outside = np.where(self.nodule == BESIDE, np.int8(-1), np.int8(0))
        return np.array([self.nodule_readers[i] if i >= 0 else k for i, k in zip(self.nodule, outside, strict=True)])


def candidate_images(folder: Path) -> list[CandidateImages]:
    """Find the candidates of every usable series under a folder.

    Raises
    ------
    TrainingError
        If there is no such series, or one that has neither readings nor a known tumour.
    """
    series = [verdict.series for verdict in index_folder(folder, secret=PUBLIC_KEY) if verdict.series]
    if not series:
        raise TrainingError(f"training series: must lie in {folder.name}, got none that can be used; copy it again")
    return [_images_of(one) for one in series]


def _images_of(series: Series) -> CandidateImages:
    scan = read_scan(series)
    found = candidates_of(scan)
    nodules = nodules_in(series, scan)
    nodule = nodules_at(found.places, nodules, scan)
    readers = np.array([ball.readers for ball in nodules], np.int8)
    images = plane_images(scan, found.places)
    return CandidateImages(series.series_instance_uid, found, nodule, readers, images, scan.pixel_mm)


def read_scan(series: Series) -> Scan:
    """Read all voxels of a series."""
    hu = np.stack([hounsfield_slice(source) for source in series.slices])
    z_mm = np.array([source.z_mm for source in series.slices])
    return Scan(hu, z_mm, (series.row_spacing_mm, series.column_spacing_mm))


class Ball(NamedTuple):
    """A nodule as a ball: slice, row and column of its middle, its radius, and how many readers marked it."""

    middle: NDArray[np.float64]
    radius_mm: float
    readers: int


def nodules_in(series: Series, scan: Scan) -> list[Ball]:
    """Return the nodules of a series as balls, from LIDC-IDRI's readings or `TUMOURS`.

    Raises
    ------
    TrainingError
        If nobody said where the nodules of the series are.
    """
    uid = series.series_instance_uid
    if uid in TUMOURS:
        middle, radius_mm = TUMOURS[uid]
        return [Ball(np.array(middle), radius_mm, READERS)]
    if (lidc := lidc_scan(uid)) is None:
        raise TrainingError(f"series {uid}: must have readings in LIDC-IDRI to train on it, got none; leave it out")
    return [_ball(nodule, scan) for nodule in nodules_of(lidc)]


def _ball(nodule: LidcNodule, scan: Scan) -> Ball:
    contours = [contour for reading in nodule.readings for contour in reading.contours]
    slices = scan.slice_index(np.array([contour.z_mm for contour in contours]))
    low = np.array([slices.min() - 0.5, *np.min([contour.points.min(axis=0) for contour in contours], axis=0)])
    high = np.array([slices.max() + 0.5, *np.max([contour.points.max(axis=0) for contour in contours], axis=0)])
    radius_mm = float(((high - low) * scan.voxel_mm).max() / 2)
    return Ball((low + high) / 2, radius_mm, len(nodule.readings))


def nodules_at(places: NDArray[np.float64], nodules: Sequence[Ball], scan: Scan) -> NDArray[np.int8]:
    """Return which nodule each place lies in; of several, the one that most readers marked.

    Parameters
    ----------
    places : (n, 3) array
        Slice, row and column.
    nodules : sequence of Ball
        The nodules of the series.
    scan : Scan
        Their voxels, for the distances.

    Returns
    -------
    (n,) array of int8
        Index of the nodule, `OTHER` or `BESIDE`.
    """
    found = np.full(len(places), OTHER, np.int8)
    by_readers = sorted(range(len(nodules)), key=lambda i: nodules[i].readers)
    distances_mm = {i: np.linalg.norm((places - nodules[i].middle) * scan.voxel_mm, axis=1) for i in by_readers}
    for i in by_readers:
        found[distances_mm[i] < nodules[i].radius_mm + MARGIN_MM] = BESIDE
    for i in by_readers:
        found[distances_mm[i] < max(nodules[i].radius_mm, LEAST_RADIUS_MM)] = i
    return found


def plane_images(scan: Scan, places: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Cut the planes through places.

    Returns
    -------
    (n, 6, 72, 72) array of uint8
        In the detector's window; air outside of the scan.
    """
    side_mm = (np.arange(SIDE) - (SIDE - 1) / 2) * PIXEL_MM
    images = np.empty((len(places), len(PLANES), SIDE, SIDE), np.uint8)
    for plane, axes in enumerate(PLANES):
        down, across = np.array(axes)[:, :, None, None]
        offsets = (down * side_mm[:, None] + across * side_mm) / np.array(scan.voxel_mm)[:, None, None]
        for i, place in enumerate(places):
            at = place[:, None, None] + offsets
            images[i, plane] = windowed(map_coordinates(scan.hu, at, order=1, cval=AIR_HU, output=np.int16))
    return images
