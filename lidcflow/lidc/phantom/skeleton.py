"""Bones of the standard chest: ribs, spine, sternum, clavicles, scapulae, heads of the humeri."""

from __future__ import annotations

import numpy as np

from lidcflow.lidc.phantom.shapes import Field, FieldLike, ellipsoid, smooth_step, squircle, tube

RIB_SPACING_MM = 25.0
VERTEBRA_MM = 22.0
CLAVICLE = np.array([[14.0, -84.0, 12.0, 8.0], [60.0, -70.0, 0.0, 5.0], [150.0, -18.0, -22.0, 7.0]])


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
