"""Density of the standard chest: muscle, fat, heart, great vessels, upper abdomen, bones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lidcflow.phantom.chest import Chest
from lidcflow.phantom.shapes import Field, FieldLike, blend, ellipsoid, smooth_max, smooth_step, squircle, tube

FAT_HU, MUSCLE_HU, BLOOD_HU = -98.0, 52.0, 42.0
EDGE_MM = 3.0

Place = tuple[Field, Field, FieldLike]
"""x, y and z in the standard chest, in mm."""


RIB_SPACING_MM = 25.0

VERTEBRA_MM = 22.0

CLAVICLE = np.array([[14.0, -84.0, 12.0, 8.0], [60.0, -70.0, 0.0, 5.0], [150.0, -18.0, -22.0, 7.0]])


def _path(*points: tuple[float, float, float, float]) -> NDArray[np.float64]:
    return np.array(points)


ARTERIES = (
    _path(
        (4, -34, 160, 15), (-10, -30, 110, 15), (2, -22, 84, 14), (18, 8, 80, 13), (24, 44, 92, 13), (24, 52, 130, 12)
    ),
    _path((24, 52, 130, 12), (18, 56, 210, 11.5), (6, 60, 300, 11), (4, 60, 380, 10)),
    _path((2, -18, 80, 6), (-16, -14, 40, 6), (-22, -6, 0, 4)),
    _path((12, -4, 78, 4.5), (18, 0, 0, 4)),
    _path((20, 10, 78, 4.5), (30, 14, 30, 4.5), (50, 0, 5, 4)),
)
PULMONARY = (
    _path((16, -40, 158, 14), (18, -24, 122, 14), (6, -6, 118, 12), (-34, 6, 124, 10)),
    _path((18, -24, 122, 13), (36, 14, 118, 11), (42, 20, 140, 8)),
)
VEINS = (
    _path((-24, -14, 60, 9), (-25, -12, 110, 10), (-24, -16, 160, 11)),
    _path((-24, -14, 62, 8), (0, -34, 52, 7), (28, -24, 30, 7), (34, -16, 0, 6)),
    _path((-24, -14, 62, 8), (-30, -18, 20, 7), (-34, -14, 0, 6)),
    _path((-24, 10, 225, 13), (-22, 26, 300, 12)),
)
OESOPHAGUS = _path((2, 30, 0, 7), (4, 36, 100, 7), (10, 40, 200, 8), (22, 24, 240, 9))


def organs_hu(chest: Chest, place: Place, wall: Field, dome: Field, strands: Field) -> Field:
    """Density in HU of everything but lung and bone.

    Parameters
    ----------
    chest : Chest
        The patient.
    place : (x, y, z), arrays that broadcast
        Positions in the standard chest, in mm.
    wall, dome : array
        Distance to the inner chest wall, and height above the diaphragm (negative below it), in mm.
    strands : array
        About -1 to 1: where muscle, fat and bowel thicken and thin.
    """
    hu = _wall_hu(chest, place, wall, strands)
    hu = _mediastinum_hu(chest, hu, place, strands)
    if np.max(place[2]) < 150:
        return hu
    abdomen = smooth_max(wall + 3.0, dome + 2.0, 6.0)
    return blend(hu, abdomen, _abdomen_hu(chest, place, dome, strands), EDGE_MM)


def _wall_hu(chest: Chest, place: Place, wall: Field, strands: Field) -> Field:
    """Fat, with the muscles that clothe the ribs: thick beside the spine and at the shoulders."""
    x, y, z = place
    top = 1.0 - smooth_step(z, 0.0, 110.0)
    back = np.exp((x / 62.0) ** 2 * -1.0) * smooth_step(y, 20.0, 90.0)
    side = smooth_step(np.abs(x), 60.0, 120.0) * top
    thick = 11.0 + 24.0 * back + 26.0 * side + 10.0 * top
    hu = blend(np.full(np.shape(wall), FAT_HU) + 8.0 * strands, wall - thick, MUSCLE_HU + 6.0 * strands, EDGE_MM)
    gaps = np.maximum(13.0 - wall, (0.45 - strands) * 14.0)
    hu = blend(hu, gaps, FAT_HU, 2 * EDGE_MM)
    if chest.breasts:
        gland = ellipsoid(np.abs(x) - 70.0, y + 122.0, np.asarray(z) - 150.0, (34.0, 16.0 * chest.breasts, 36.0))
        hu = blend(hu, np.maximum(gland, -10.0 * strands), 35.0, 2 * EDGE_MM)
    neck = (1.0 - smooth_step(z, 12.0, 75.0)) * smooth_step(strands, -1.0, -0.45)
    return blend(hu, wall + 2.0, FAT_HU + 12.0 + (MUSCLE_HU - FAT_HU - 12.0) * neck, EDGE_MM)


def _mediastinum_hu(chest: Chest, hu: Field, place: Place, strands: Field) -> Field:
    x, y, z = place
    neck = np.maximum(np.hypot(x, (y - 20.0) * 0.8) - 46.0, np.asarray(z) - 4.0)
    hu = blend(hu, np.maximum(neck, strands * -10.0 - 4.0), MUSCLE_HU, 2 * EDGE_MM)
    for path in VEINS:
        hu = _vessel(hu, path, 40.0 + 95.0 * chest.contrast, x, y, z)
    hu = _vessel(hu, OESOPHAGUS, 36.0, x, y, z)
    hu = _heart_hu(chest, hu, x, y, z)
    for path in PULMONARY:
        hu = _vessel(hu, path, BLOOD_HU + 150.0 * chest.contrast, x, y, z)
    for path in ARTERIES:
        hu = _vessel(hu, path, BLOOD_HU + 180.0 * chest.contrast, x, y, z)
    return hu


def _vessel(hu: Field, path: NDArray[np.float64], blood_hu: float, x: Field, y: Field, z: FieldLike) -> Field:
    """Draw a vessel where the plane meets it; most planes meet few."""
    reach = path[:, 3].max() + EDGE_MM
    if np.max(z) < path[:, 2].min() - reach or np.min(z) > path[:, 2].max() + reach:
        return hu
    return blend(hu, tube(path, x, y, z), blood_hu, EDGE_MM)


def _heart_hu(chest: Chest, hu: Field, x: Field, y: Field, z: FieldLike) -> Field:
    dx, dy, dz = x - 20.0, y + 28.0, np.asarray(z) - 178.0 - 0.2 * (x - 20.0)
    u, v = 0.88 * dx - 0.47 * dy, 0.47 * dx + 0.88 * dy
    size = chest.heart
    hu = blend(hu, ellipsoid(u, v, dz, (63 * size, 46 * size, 50 * size)), 46.0 + 45.0 * chest.contrast, EDGE_MM)
    for centre, radii in (((20, 4, 4), (32, 24, 30)), ((-22, -14, 2), (26, 22, 32)), ((-16, 26, -18), (30, 14, 22))):
        chamber = ellipsoid(u - centre[0] * size, v - centre[1] * size, dz - centre[2] * size, radii)
        hu = blend(hu, chamber, BLOOD_HU + 140.0 * chest.contrast, 2 * EDGE_MM)
    return hu


def _abdomen_hu(chest: Chest, place: Place, dome: Field, strands: Field) -> Field:
    """Liver to the right, spleen and stomach to the left, fat and bowel below."""
    x, y, z = place
    below = -np.asarray(dome)
    hu: Field = FAT_HU + 130.0 * smooth_step(strands, 0.1, 0.5) * smooth_step(below, 35.0, 60.0)
    edge = x - 46.0 + 0.45 * (np.asarray(z) - 200.0) + 0.004 * (y + 15.0) ** 2 + 7.0 * strands
    hu = blend(hu, np.maximum(edge, np.asarray(z) - 335.0 - 0.3 * x), 56.0 + 45.0 * chest.contrast, EDGE_MM)
    spleen = ellipsoid(x - 92.0, y - 44.0, np.asarray(z) - 250.0, (34.0, 46.0, 58.0))
    hu = blend(hu, spleen, 48.0 + 65.0 * chest.contrast, EDGE_MM)
    stomach = ellipsoid(x - 62.0, y + 34.0, np.asarray(z) - 248.0, (42.0, 44.0, 50.0))
    hu = blend(hu, stomach, 34.0, EDGE_MM)
    bubble = np.maximum(stomach + 4.0, y + 44.0)
    hu = blend(hu, bubble, -950.0, EDGE_MM)
    return blend(hu, np.maximum(np.hypot(x, y - 84.0) - 42.0, -y), MUSCLE_HU, EDGE_MM)


def bone_distance(x: Field, y: Field, z: FieldLike, wall: Field, rib_phase: float) -> Field:
    """Distance to the nearest bone surface, in standard mm.

    Parameters
    ----------
    x, y, z : arrays that broadcast
        Positions in the standard chest.
    wall : array
        Distance to the inner chest wall.
    rib_phase : float
        0 to 1, shifts ribs and vertebrae along z.
    """
    bones = np.minimum(_ribs(x, y, z, wall, rib_phase), _spine(x, y, z, rib_phase))
    bones = np.minimum(bones, _sternum(x, y, z))
    if np.max(z) < 140:
        bones = np.minimum(bones, _shoulder_girdle(x, y, z, wall))
    return bones


def _ribs(x: Field, y: Field, z: FieldLike, wall: Field, phase: float) -> Field:
    """Rings that fall from the spine to the front; their fronts are cartilage and left out."""
    forward = np.clip((95.0 - y) / 190.0, 0.0, 1.0)
    number = (z - 92.0 * forward * (1.35 - 0.35 * forward)) / RIB_SPACING_MM + phase + 0.5
    nearest = np.clip(np.round(number), 0, 11)
    along = (number - nearest) * (RIB_SPACING_MM * 0.85)
    ring = (np.sqrt((along / 6.5) ** 2 + ((wall - 7.0) / 3.4) ** 2) - 1.0) * 3.4
    front = (forward - 0.82) * 190.0
    return np.asarray(np.maximum(np.maximum(ring, front), 22.0 - np.abs(x)))


def _spine(x: Field, y: Field, z: FieldLike, phase: float) -> Field:
    level = np.asarray(z) / VERTEBRA_MM + phase
    from_disc = (0.5 - np.abs(level - np.floor(level) - 0.5)) * VERTEBRA_MM
    body = squircle(x, y - 84.0, 19.0 - 0.12 * from_disc, 16.5, 0.3)
    body = np.maximum(body, 2.6 - from_disc)
    lamina = np.abs(np.hypot(x, y - 110.0) - 11.5) - 2.8
    arch = np.maximum(lamina, 104.0 - y)
    spinous = np.maximum(np.abs(x) - 3.2, np.abs(y - 134.0) - 13.0 + 4.0 * smooth_step(from_disc, 0.0, 8.0))
    process = np.maximum(np.abs(y - 108.0 - 0.2 * np.abs(x)) - 4.0, np.abs(np.abs(x) - 24.0) - 14.0)
    process = np.maximum(process, 5.0 - from_disc)
    return np.asarray(np.minimum(np.minimum(body, arch), np.minimum(spinous, process)))


def _sternum(x: Field, y: Field, z: FieldLike) -> Field:
    half_width = 25.0 - 10.0 * smooth_step(z, 30.0, 70.0)
    plate = squircle(x, y + 101.0 + 0.05 * (150.0 - np.asarray(z)) * -1.0, half_width, 5.5, 0.8)
    return np.asarray(np.maximum(plate, np.abs(np.asarray(z) - 108.0) - 88.0))


def _shoulder_girdle(x: Field, y: Field, z: FieldLike, wall: Field) -> Field:
    side = np.abs(x)
    reach = 0.42 - 0.4 * smooth_step(z, 20.0, 135.0)
    blade = np.maximum(np.abs(wall - 24.0) - 2.2, (np.abs(y / 100.0 - 0.5) - reach) * 95.0)
    blade = np.maximum(blade, 45.0 - side)
    humerus = ellipsoid(side - 178.0, y - 4.0, np.asarray(z) + 12.0, (24.0, 24.0, 30.0))
    return np.asarray(np.minimum(np.minimum(blade, humerus), tube(CLAVICLE, side, y, z)))
