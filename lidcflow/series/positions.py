"""The rules that the positions of a usable CT series keep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lidcflow.dicom.geometry import (
    AXIAL_WITHIN_DEG,
    COSINES_WITHIN,
    SHEAR_WITHIN_DEG,
    angle_to_axis_deg,
    are_directions,
    normal_of,
    shear_deg,
)
from lidcflow.dicom.records import VerdictReason
from lidcflow.headers.checks import series_refusal
from lidcflow.headers.concerned import ABSENT, images_concerned, named
from lidcflow.headers.header import Header
from lidcflow.series.stacks import LEAST_OF_A_STACK, MAX_GAP, codes_of, is_whole, lie_in_each_other, steps_of
from lidcflow.series.strays import are_strays, lean_of_line_deg, on_one_line

FARTHEST_MM = 10_000.0
PIXEL_MM = 0.01, 100.0
"""Positions and pixels beyond these are typing errors: no table is 10 m long."""

STEEP_DEG = 45.0
"""Planes that are steeper than this are sagittal or coronal, and no tilt of the gantry makes them so."""

SHIFTED_PIXELS = 0.1
"""Largest shift of the last pixel of a row for two pixel spacings to count as equal."""

FRAMES_DIFFER = "frames-of-reference-differ"
"""Flag of one scan whose slices have several Frames of Reference."""

Geometry = tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]
_NAMES = ("Rows and Columns", "PixelSpacing", "ImageOrientationPatient")


def placed(headers: Sequence[Header]) -> list[Header]:
    """Set aside images without a position; refuse when it is not just a few."""
    without = [header for header in headers if _unsound_place(header)]
    if not are_strays(len(without), len(headers)):
        sentence = (
            "ImagePositionPatient, ImageOrientationPatient and PixelSpacing must be present and sound, got "
            f"{len(headers) - len(without)} of {len(headers)} instances with them, and "
            f"{_unsound_place(without[0])} {images_concerned(without, headers)}; export the series again"
        )
        raise series_refusal(headers, VerdictReason.NO_POSITION, sentence)
    return [header for header in headers if not _unsound_place(header)]


def _unsound_place(header: Header) -> str | None:
    """Name the first attribute that is absent or makes no sense, with its value."""
    orientation, spacing_mm, position_mm = header.facts.orientation, header.facts.spacing_mm, header.position_mm
    if position_mm is None or max(map(abs, position_mm)) > FARTHEST_MM:
        return f"ImagePositionPatient {_listed(position_mm)}"
    if orientation is None or not are_directions(*orientation):
        return f"ImageOrientationPatient {_listed(orientation)}"
    if spacing_mm is None or not all(PIXEL_MM[0] <= mm <= PIXEL_MM[1] for mm in spacing_mm):
        return f"PixelSpacing {_listed(spacing_mm)}"
    return None


def of_one_geometry(headers: Sequence[Header]) -> list[Header]:
    """Exclude images whose orientation, matrix or pixel spacing differs from the majority's.

    Scouts without a LOCALIZER mark, and a stray slice of a neighbouring series, end here. Numbers are compared
    within what no pixel notices, and not rounded first: equal ones may lie on either side of where rounding flips.
    """
    kinds = _kinds(Counter(_geometry(header) for header in headers))
    counts = Counter(kinds[_geometry(header)] for header in headers)
    main, count = max(counts.items(), key=lambda item: (item[1], repr(item[0])))
    if not are_strays(len(headers) - count, len(headers)):
        raise series_refusal(headers, VerdictReason.MIXED_GEOMETRY, _mixed_geometry(headers, kinds, main, counts))
    return [header for header in headers if kinds[_geometry(header)] == main]


def _mixed_geometry(
    headers: Sequence[Header], kinds: dict[Geometry, Geometry], main: Geometry, counts: Counter[Geometry]
) -> str:
    """Word the refusal: which attribute differs, its values, and where first."""
    other = next(header for header in headers if kinds[_geometry(header)] != main)
    pairs = zip(_NAMES, main, kinds[_geometry(other)], strict=True)
    name, most, there = next(
        (name, mine, theirs) for name, mine, theirs in pairs if not _is_near(name, mine, theirs, main)
    )
    return (
        "matrix, pixel spacing and orientation must be the same on all slices, "
        f"got {len(counts)} kinds, the largest on {counts[main]} of {len(headers)}: {name} {_listed(most)} there and "
        f"{_listed(there)} in instance {named(other)}; separate them at the source"
    )


def _listed(values: tuple[float, ...] | None) -> str:
    return ABSENT if values is None else "\\".join(f"{value:.10g}" for value in values)


def _kinds(groups: Counter[Geometry]) -> dict[Geometry, Geometry]:
    """Map each geometry to the most frequent one that is the same to every pixel."""
    kinds: dict[Geometry, Geometry] = {}
    leaders: list[Geometry] = []
    for geometry in sorted(groups, key=lambda one: (-groups[one], repr(one))):
        near = (leader for leader in leaders if _are_near(leader, geometry))
        kinds[geometry] = next(near, geometry)
        leaders += [geometry] if kinds[geometry] == geometry else []
    return kinds


def _are_near(one: Geometry, other: Geometry) -> bool:
    return all(_is_near(name, a, b, one) for name, a, b in zip(_NAMES, one, other, strict=True))


def _is_near(name: str, mine: tuple[float, ...], theirs: tuple[float, ...], geometry: Geometry) -> bool:
    """Return whether values are the same to every pixel: the last pixel of a row or column moves a tenth at most."""
    if name == "Rows and Columns" or len(mine) != len(theirs):
        return mine == theirs
    size, (spacing_mm, _) = max(geometry[0], default=1), geometry[1]
    within = COSINES_WITHIN if name == "ImageOrientationPatient" else SHIFTED_PIXELS * spacing_mm / size
    return all(abs(a - b) <= within for a, b in zip(mine, theirs, strict=True))


def of_one_frame(headers: Sequence[Header], z_mm: NDArray[np.float64]) -> tuple[list[int], list[str]]:
    """Choose the slices of one Frame of Reference, or of several that one scan was given; refuse two scans.

    De-identification gave each slice of the public LIDC-IDRI-0050 a frame of its own. A few slices of another frame
    are set aside where the rest is whole without them. Two groups with a frame each are two scans only when their
    positions say so as well: they lie in each other, or there is a gap between them.

    Parameters
    ----------
    headers : sequence of Header
        Slices, sorted by position.
    z_mm : (slices,) array
        Positions along the normal, descending.

    Returns
    -------
    list of int
        Indices of the slices that are kept.
    list of str
        Flags on what was tolerated.
    """
    frames = [header.facts.frame_of_reference_uid or "" for header in headers]
    counts = Counter(frames)
    every = list(range(len(headers)))
    if len(counts) < 2:
        return every, []
    main, count = max(counts.items(), key=lambda item: (item[1], item[0]))
    kept = [i for i in every if frames[i] == main]
    if are_strays(len(headers) - count, len(headers)) and is_whole(z_mm[kept]):
        return kept, []
    codes = codes_of(frames)
    if lie_in_each_other(z_mm, codes, stated=False) is not None or _part_at_a_gap(z_mm, codes):
        other = next(i for i in every if frames[i] != frames[0])
        sentence = (
            f"slices must be of one scan, got {len(counts)} kinds of FrameOfReferenceUID, the most frequent on "
            f"{count} of {len(headers)}, whose positions are those of scans of their own, the first other one at "
            f"z = {z_mm[other]:.2f} mm in instance {named(headers[other])}; separate them at the source"
        )
        raise series_refusal(headers, VerdictReason.MIXED_GEOMETRY, sentence)
    return every, [FRAMES_DIFFER]


def _part_at_a_gap(z_mm: NDArray[np.float64], codes: NDArray[np.intp]) -> bool:
    """Return whether two groups of slices lie one after the other with a gap between them."""
    counts = np.bincount(codes)
    large = np.flatnonzero(counts >= LEAST_OF_A_STACK)
    if len(large) < 2 or counts[large].sum() < len(codes):
        return False
    steps_mm = -np.diff(z_mm)
    wide = steps_mm > MAX_GAP * np.median(steps_of(z_mm))
    return bool((wide & (np.diff(codes) != 0)).any())


def of_one_kernel(headers: Sequence[Header]) -> list[Header]:
    """Exclude images with another reconstruction kernel than the majority; images that name none are kept."""
    kernels = Counter(header.facts.acquisition.kernel for header in headers if header.facts.acquisition.kernel)
    if len(kernels) < 2:
        return list(headers)
    main, count = max(kernels.items(), key=lambda item: (item[1], item[0]))
    if not are_strays(kernels.total() - count, len(headers)):
        other = next(header for header in headers if header.facts.acquisition.kernel not in (None, main))
        sentence = (
            f"slices must be reconstructed with one kernel, got {len(kernels)} kernels, "
            f"the most frequent on {count} of {len(headers)}: ConvolutionKernel {main} there and "
            f"{other.facts.acquisition.kernel} in instance {named(other)}; separate them at the source"
        )
        raise series_refusal(headers, VerdictReason.MIXED_KERNELS, sentence)
    return [header for header in headers if header.facts.acquisition.kernel in (None, main)]


def _geometry(header: Header) -> Geometry:
    facts = header.facts
    size = (facts.pixels.rows, facts.pixels.columns) if facts.pixels else ()
    return size, facts.spacing_mm or (), facts.orientation or ()


def stacked(headers: Sequence[Header]) -> tuple[list[Header], NDArray[np.float64]]:
    """Sort slices by their position along the normal; refuse planes that are not axial or are tilted.

    Parameters
    ----------
    headers : sequence of Header
        Slices of one geometry.

    Returns
    -------
    list of Header
        The top one first, without strays to the side of the others.
    (slices,) array
        Positions in mm, towards the head.
    """
    normal = normal_of(headers[0].facts.orientation or ())
    angle_deg = angle_to_axis_deg(normal)
    if angle_deg > AXIAL_WITHIN_DEG and angle_deg >= STEEP_DEG:
        raise _not_axial(headers, angle_deg)
    images = on_one_line(headers, normal)
    positions_mm = np.array([header.position_mm for header in images])
    lean_deg = shear_deg(positions_mm, normal)
    lean_deg = min(lean_deg, lean_of_line_deg(positions_mm, normal)) if lean_deg > SHEAR_WITHIN_DEG else lean_deg
    if lean_deg > SHEAR_WITHIN_DEG:
        sentence = (
            f"slices must be stacked along their normal, got {lean_deg:.1f} degrees of gantry tilt "
            f"{images_concerned(images, headers)}; resample the series"
        )
        raise series_refusal(headers, VerdictReason.TILTED, sentence)
    if angle_deg > AXIAL_WITHIN_DEG:
        raise _not_axial(headers, angle_deg)
    z_mm = positions_mm @ normal
    order = (-z_mm).argsort(kind="stable")
    return [images[i] for i in order], z_mm[order]


def _not_axial(headers: Sequence[Header], angle_deg: float) -> Exception:
    sentence = (
        f"ImageOrientationPatient must be axial within {AXIAL_WITHIN_DEG:g} degrees, got {angle_deg:.1f} degrees "
        f"{images_concerned(headers, headers)}; use axial images"
    )
    return series_refusal(headers, VerdictReason.NOT_AXIAL, sentence)
