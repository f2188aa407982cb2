"""The rules that the positions of a usable CT series keep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from lidcflow.ct.checks import refusal
from lidcflow.ct.geometry import (
    AXIAL_WITHIN_DEG,
    SHEAR_WITHIN_DEG,
    angle_to_axis_deg,
    are_directions,
    normal_of,
    shear_deg,
)
from lidcflow.ct.headers import Header
from lidcflow.ct.records import Reason

FARTHEST_MM = 10_000.0
PIXEL_MM = 0.01, 100.0
"""Positions and pixels beyond these are typing errors: no table is 10 m long."""

SUPINE_COSINE = 0.9


def placed(headers: Sequence[Header]) -> list[Header]:
    """Set aside images without a position; refuse when it is not just a few."""
    having = [header for header in headers if _has_place(header)]
    if not _are_strays(len(headers) - len(having), len(headers)):
        sentence = (
            f"ImagePositionPatient, ImageOrientationPatient and PixelSpacing must be present and sound, "
            f"got {len(having)} of {len(headers)} instances with them; export the series again"
        )
        raise refusal(headers, Reason.NO_POSITION, sentence)
    return having


def _has_place(header: Header) -> bool:
    orientation, spacing = header.facts.orientation, header.facts.spacing_mm
    if header.position_mm is None or orientation is None or spacing is None:
        return False
    near = max(map(abs, header.position_mm)) <= FARTHEST_MM
    return near and all(PIXEL_MM[0] <= mm <= PIXEL_MM[1] for mm in spacing) and are_directions(*orientation)


def of_one_geometry(headers: Sequence[Header]) -> list[Header]:
    """Set aside images of another orientation, matrix, spacing or frame of reference than most.

    Scouts without a LOCALIZER mark, and a stray slice of a neighbouring series, end here.
    """
    groups = Counter(_geometry(header) for header in headers)
    main, count = max(groups.items(), key=lambda item: (item[1], repr(item[0])))
    if not _are_strays(len(headers) - count, len(headers)):
        sentence = (
            "matrix, pixel spacing, orientation and frame of reference must be the same on all slices, "
            f"got {len(groups)} kinds, the largest on {count} of {len(headers)}; separate them at the source"
        )
        raise refusal(headers, Reason.MIXED_GEOMETRY, sentence)
    return [header for header in headers if _geometry(header) == main]


def of_one_kernel(headers: Sequence[Header]) -> list[Header]:
    """Set aside images of another reconstruction kernel than most; those that name none are let through."""
    kernels = Counter(header.facts.acquisition.kernel for header in headers if header.facts.acquisition.kernel)
    if len(kernels) < 2:
        return list(headers)
    main, count = max(kernels.items(), key=lambda item: (item[1], item[0]))
    if not _are_strays(kernels.total() - count, len(headers)):
        sentence = (
            f"slices must be reconstructed with one kernel, got {len(kernels)} kernels, "
            f"the most frequent on {count} of {len(headers)}; separate them at the source"
        )
        raise refusal(headers, Reason.MIXED_KERNELS, sentence)
    return [header for header in headers if header.facts.acquisition.kernel in (None, main)]


def _geometry(header: Header) -> Hashable:
    """Give what must be equal, rounded to what headers round to."""
    facts = header.facts
    size = (facts.pixels.rows, facts.pixels.columns) if facts.pixels else None
    orientation = tuple(round(cosine, 3) + 0.0 for cosine in facts.orientation or ())
    spacing_mm = tuple(round(spacing, 4) for spacing in facts.spacing_mm or ())
    return size, spacing_mm, orientation, facts.frame_of_reference_uid


def is_supine_view(header: Header) -> bool:
    """Tell whether rows run to the patient's left and columns to the back, as nearly all chest CT is shown."""
    orientation = header.facts.orientation or (0.0,) * 6
    return orientation[0] > SUPINE_COSINE and orientation[4] > SUPINE_COSINE


def _are_strays(few: int, of: int) -> bool:
    """Tell whether a few images are strays: at most three, or a tenth, and fewer than the rest."""
    return few <= max(3, of // 10) and 2 * few < of


def along_normal_mm(headers: Sequence[Header]) -> NDArray[np.float64]:
    """Compute the position of each slice along the normal; refuse planes that are not axial or are tilted.

    Parameters
    ----------
    headers : sequence of Header
        Slices of one geometry.

    Returns
    -------
    (slices,) array
        In mm, towards the head.
    """
    normal = normal_of(headers[0].facts.orientation or ())
    positions_mm = np.array([header.position_mm for header in headers])
    lean_deg, angle_deg = shear_deg(positions_mm, normal), angle_to_axis_deg(normal)
    if lean_deg > SHEAR_WITHIN_DEG and angle_deg < 45:
        sentence = f"slices must be stacked along their normal, got {lean_deg:.1f} degrees of gantry tilt; resample it"
        raise refusal(headers, Reason.TILTED, sentence)
    if angle_deg > AXIAL_WITHIN_DEG:
        sentence = f"slices must be axial within {AXIAL_WITHIN_DEG:g} degrees, got {angle_deg:.1f}; use axial images"
        raise refusal(headers, Reason.NOT_AXIAL, sentence)
    return positions_mm @ normal
