"""Position of a pixel in the patient, and orientation of a slice relative to the usual view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Vector = tuple[float, float, float]
Scalar = TypeVar("Scalar", bound=np.generic)

MIRRORED, ROTATED = "mirrored-in-plane", "rotated-in-plane"
"""Flags of slices that are not stored as chest CT usually is: seen from above, or turned."""

PRONE, DECUBITUS = "prone", "decubitus"
"""Flags of patients who do not lie on their back, by Patient Position (0018,5100)."""

_LYING = {"P": PRONE, "DL": DECUBITUS, "DR": DECUBITUS}
NEAR_AXIS = 0.9
"""Cosine from which rows and columns count as those of the usual view."""


@dataclass(frozen=True, slots=True)
class PatientAxes:
    """The place of a series in the patient.

    All vectors are in the patient's coordinates in mm (LPS): x to the left, y to the back, z to the head.

    Parameters
    ----------
    origin_mm : tuple of 3 floats
        Centre of the first pixel of the top slice: its Image Position (Patient).
    row : tuple of 3 floats
        Direction of a row: where the column number grows.
    column : tuple of 3 floats
        Direction of a column: where the row number grows.
    way : tuple of 3 floats
        Way of the first pixel for each mm that a slice lies higher along the normal.
    z_mm : float
        Position of the top slice along the normal.
    """

    origin_mm: Vector
    row: Vector
    column: Vector
    way: Vector
    z_mm: float

    def point_mm(self, z_mm: float, down_mm: float, across_mm: float) -> Vector:
        """Return the patient coordinates of a place.

        Parameters
        ----------
        z_mm : float
            Position along the normal, as of source slices and slab edges.
        down_mm, across_mm : float
            From the centre of the first pixel, along a column and along a row.

        Examples
        --------
        >>> axes = PatientAxes((-160.0, -150.0, 20.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), 20.0)
        >>> axes.point_mm(10.0, 5.0, 2.5)
        (-157.5, -145.0, 10.0)
        """
        ways = zip(self.origin_mm, self.way, self.column, self.row, strict=True)
        x, y, z = (at + (z_mm - self.z_mm) * up + down_mm * a + across_mm * b for at, up, a, b in ways)
        return x, y, z

    @property
    def orientation(self) -> tuple[float, ...]:
        """Direction cosines of a row, then of a column, as Image Orientation (Patient) has them."""
        return (*self.row, *self.column)


def is_transposed(orientation: Sequence[float]) -> bool:
    """Return whether rows run along the patient's front and back, not from side to side."""
    return abs(orientation[1]) > abs(orientation[0])


def usual_view(planes: NDArray[Scalar], orientation: Sequence[float]) -> NDArray[Scalar]:
    """Turn slices so that the patient's right is on the left and his front on top, as radiologists look at CT.

    Parameters
    ----------
    planes : (..., rows, columns) array
        As stored.
    orientation : sequence of 6 floats
        Image Orientation (Patient).

    Returns
    -------
    (..., rows, columns) array
        A view of the same voxels; rows and columns are exchanged where `is_transposed`.

    Examples
    --------
    >>> usual_view(np.array([[1, 2], [3, 4]]), [0, 1, 0, -1, 0, 0]).tolist()
    [[3, 1], [4, 2]]
    """
    row, column = orientation[:3], orientation[3:]
    if is_transposed(orientation):
        planes, row, column = np.swapaxes(planes, -1, -2), column, row
    planes = planes if row[0] >= 0 else planes[..., ::-1]
    return planes if column[1] >= 0 else planes[..., ::-1, :]


def usual_point(across: float, down: float, orientation: Sequence[float]) -> tuple[float, float]:
    """Turn a place of a stored slice as `usual_view` turns the slice.

    Parameters
    ----------
    across, down : float
        Shares of the width and of the height of the stored slice, from its upper left corner.
    orientation : sequence of 6 floats
        Image Orientation (Patient).

    Returns
    -------
    tuple of 2 floats
        Shares of width and height of the slice as it is shown.

    Examples
    --------
    >>> usual_point(0.25, 0.125, [0, 1, 0, -1, 0, 0])
    (0.875, 0.25)
    """
    row, column = orientation[:3], orientation[3:]
    if is_transposed(orientation):
        across, down, row, column = down, across, column, row
    return across if row[0] >= 0 else 1 - across, down if column[1] >= 0 else 1 - down


def usual_planes(planes: NDArray[Scalar], orientation: Sequence[float]) -> NDArray[Scalar]:
    """Turn three planes through a place so that axial, coronal and sagittal are as radiologists look at them.

    Parameters
    ----------
    planes : (3, size, size) array
        Along stored rows and columns; slices by columns; slices by rows: the head on top in the last two.
    orientation : sequence of 6 floats
        Image Orientation (Patient).

    Returns
    -------
    (3, size, size) array
        Axial as `usual_view`; coronal with the patient's right on the left; sagittal with his front on the left.
    """
    along, across = (planes[1], planes[2]) if not is_transposed(orientation) else (planes[2], planes[1])
    right = usual_point(0.0, 0.0, orientation)
    coronal = along if right[0] == 0 else along[:, ::-1]
    sagittal = across if right[1] == 0 else across[:, ::-1]
    return np.stack([usual_view(planes[0], orientation), coronal, sagittal])


def cell_centre(cell: float, pixels: int, cells: int) -> float:
    """Return the place of the centre of a cell, counted in pixels from the centre of the first pixel.

    Parameters
    ----------
    cell : float
        From 0.
    pixels, cells : int
        How many lie along the same edge of a slice.

    Examples
    --------
    >>> cell_centre(0, pixels=512, cells=128), cell_centre(127, pixels=512, cells=128)
    (1.5, 509.5)
    """
    return (cell + 0.5) * pixels / cells - 0.5


def axes_of(
    orientation: Sequence[float], first_mm: Sequence[float], last_mm: Sequence[float], z_mm: tuple[float, float]
) -> PatientAxes:
    """Describe the place of a series in the patient.

    Parameters
    ----------
    orientation : sequence of 6 floats
        Image Orientation (Patient).
    first_mm, last_mm : sequence of 3 floats
        Image Position (Patient) of the top and the bottom slice.
    z_mm : tuple of 2 floats
        Their positions along the normal.
    """
    top, bottom = np.asarray(first_mm, np.float64), np.asarray(last_mm, np.float64)
    way = (top - bottom) / (z_mm[0] - z_mm[1])
    return PatientAxes(_vector(top), _vector(orientation[:3]), _vector(orientation[3:]), _vector(way), z_mm[0])


def view_flags(orientation: Sequence[float], patient_position: str | None) -> list[str]:
    """Return flags on how slices are stored and how the patient lay.

    Rows of usual chest CT run to the patient's left, and columns to the back.

    Parameters
    ----------
    orientation : sequence of 6 floats
        Image Orientation (Patient).
    patient_position : str, optional
        Patient Position, such as HFS.

    Examples
    --------
    >>> view_flags([1, 0, 0, 0, 1, 0], "HFS"), view_flags([-1, 0, 0, 0, -1, 0], "HFP")
    ([], ['prone', 'rotated-in-plane'])
    >>> view_flags([-1, 0, 0, 0, 1, 0], "HFS")
    ['mirrored-in-plane']
    """
    flags = [_LYING[lying] for lying in _LYING if (patient_position or "")[2:] == lying]
    row, column = np.asarray(orientation, np.float64).reshape(2, 3)
    if np.cross(row, column)[2] < 0:
        return [*flags, MIRRORED]
    return flags if min(row[0], column[1]) > NEAR_AXIS else [*flags, ROTATED]


def _vector(values: Sequence[float] | NDArray[np.float64]) -> Vector:
    x, y, z = (float(value) + 0.0 for value in values)
    return x, y, z
