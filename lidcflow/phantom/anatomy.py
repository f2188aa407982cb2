"""The anatomy of a chest as fields over a plane: lung, bone, body and the density of everything between."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lidcflow.phantom.chest import HALF_DEPTH_MM, HALF_WIDTH_MM, HEIGHT_MM, Chest
from lidcflow.phantom.organs import bone_distance, organs_hu
from lidcflow.phantom.shapes import (
    Field,
    FieldLike,
    ellipsoid,
    smooth_max,
    smooth_min,
    smooth_step,
    squircle,
    squircle_radius,
)

AORTA_XY_MM = (24.0, 52.0)
SPINE_Y_MM = 84.0


class PlaneFields(NamedTuple):
    """Geometry that a plane is drawn from; distances in mm are negative inside.

    Attributes
    ----------
    body, lung, bone : array
        Distance to the skin, to the pleura, to the surface of the nearest bone.
    tissue_hu : array
        Density of soft tissue, as if there were neither lung nor bone.
    lung_hu : array
        Density of the lung between its vessels.
    """

    body: Field
    lung: Field
    bone: Field
    tissue_hu: Field
    lung_hu: Field


def plane_fields(chest: Chest, x: FieldLike, y: FieldLike, depth_mm: float) -> PlaneFields:
    """Describe one plane of a chest.

    Parameters
    ----------
    chest : Chest
        The patient.
    x, y : arrays that broadcast
        Positions in mm from the centre of the image, to the patient's left and to his back.
    depth_mm : float
        Distance below the top of the scan.
    """
    sx, sy, sz = chest.standard(x, y, depth_mm)
    size = sum(chest.frame.scales[:2]) / 2
    wall = _wall(sx, sy, sz)
    dome = _dome_depth(chest, sx, sy, sz) - sz
    lung = _lung(chest, sx, sy, sz, wall, dome) * size - chest.bump_mm(x, y, depth_mm)
    body = _body(chest, sx, sy, sz)
    bone = bone_distance(sx, sy, sz, wall, chest.rib_phase)
    strands, mottle = (waves.at(x, y, depth_mm) for waves in (chest.strands, chest.mottle))
    tissue = organs_hu(chest, (sx, sy, sz), wall, dome, strands)
    return PlaneFields(body * size, lung, bone * size, tissue, _lung_hu(chest, sy, sz, mottle))


def lung_distance(chest: Chest, x: FieldLike, y: FieldLike, depth_mm: FieldLike) -> Field:
    """Distance in mm to the pleura at scan positions; negative in the lung."""
    sx, sy, sz = chest.standard(x, y, depth_mm)
    dome = _dome_depth(chest, sx, sy, sz) - sz
    size = sum(chest.frame.scales[:2]) / 2
    return _lung(chest, sx, sy, sz, _wall(sx, sy, sz), dome) * size - chest.bump_mm(x, y, depth_mm)


def _taper(z: FieldLike) -> tuple[Field, Field]:
    """Half axes of the inner chest at a height, in mm; above the apex they stay as at the first rib."""
    t = np.clip(np.asarray(z) / (0.65 * HEIGHT_MM), 0.2, 1.0)
    width = np.sqrt(1.0 - (1.0 - t) ** 2.5)
    depth = 0.68 + 0.32 * smooth_step(z, 10.0, 150.0)
    return HALF_WIDTH_MM * width, HALF_DEPTH_MM * depth


def _wall(x: Field, y: Field, z: FieldLike) -> Field:
    half_width, half_depth = _taper(z)
    return squircle(x, y - (HALF_DEPTH_MM - half_depth) * 0.45, half_width, half_depth, 0.6)


def _dome_depth(chest: Chest, x: Field, y: Field, z: FieldLike) -> Field:
    """Depth of the diaphragm below the apex: two domes, the right one higher, lowest at the back."""
    half_width, half_depth = _taper(z)
    g = np.minimum(squircle_radius(x / half_width, y / half_depth, 0.6), 1.0)
    left = smooth_step(x, -35.0, 35.0)
    height = chest.dome * (78.0 - 16.0 * left)
    front = np.clip((-10.0 - y) / 90.0, 0.0, 1.0)
    return np.asarray(HEIGHT_MM - 4.0 - height * (1.0 - (g * g) ** 2) - 38.0 * front * g)


def _lung(chest: Chest, x: Field, y: Field, z: FieldLike, wall: Field, dome: Field) -> Field:
    apex = 45.0 * (((np.abs(x) - 50.0) / 55.0) ** 2 + ((y - 14.0) / 62.0) ** 2)
    lung = smooth_max(wall + 1.5, (apex - z) * 0.7, 8.0)
    lung = smooth_max(lung, -_mediastinum(chest, x, y, z), 9.0)
    return smooth_max(lung, -0.62 * dome, 10.0)


def _mediastinum(chest: Chest, x: Field, y: Field, z: FieldLike) -> Field:
    """All that parts the lungs: junction lines, vessels of the upper chest, heart, aorta, hila, spine."""
    lower = smooth_step(z, 140.0, 190.0)
    core = squircle(x - 1.0, y + 6.0 - 44.0 * lower, 33.0 - 9.0 * lower, 54.0 - 20.0 * lower, 0.4)
    junction = np.abs(x + 2.0) - (2.5 + 15.0 * np.exp(np.asarray(z) / -30.0))
    arch = ellipsoid(0.85 * (x - 20.0) - 0.5 * (y + 4.0), 0.5 * (x - 20.0) + 0.85 * (y + 4.0), z - 82.0, (19, 42, 18))
    shape = smooth_min(smooth_min(core, junction, 10.0), arch, 8.0)
    shape = smooth_min(shape, heart_distance(chest, x, y, z), 8.0)
    aorta = np.hypot(x - AORTA_XY_MM[0], y - AORTA_XY_MM[1]) - 14.0 + 60.0 * (1.0 - smooth_step(z, 60.0, 95.0))
    shape = smooth_min(shape, aorta, 8.0)
    hila = ellipsoid(np.abs(x) - 40.0, y - 6.0, z - 124.0, (15.0, 20.0, 26.0))
    shape = smooth_min(shape, hila, 10.0)
    spine = np.minimum(np.hypot(x, y - SPINE_Y_MM) - 24.0, np.maximum(np.abs(x) - 27.0, SPINE_Y_MM - y))
    return smooth_min(shape, spine, 8.0)


def heart_distance(chest: Chest, x: Field, y: Field, z: FieldLike) -> Field:
    """Distance in standard mm to the heart, which lies to the left and points to the front."""
    dx, dy = x - 22.0, y + 30.0
    radii = (68.0 * chest.heart, 50.0 * chest.heart, 54.0 * chest.heart)
    return ellipsoid(0.88 * dx - 0.47 * dy, 0.47 * dx + 0.88 * dy, z - 178.0 - 0.2 * dx, radii)


def _body(chest: Chest, x: Field, y: Field, z: FieldLike) -> Field:
    shoulders = 1.0 - smooth_step(z, -10.0, 75.0)
    half_width = 154.0 + 1.1 * chest.fat_mm + 45.0 * shoulders
    half_depth = 124.0 + 0.7 * chest.fat_mm - 24.0 * shoulders
    body = squircle(x, y - 12.0 - 6.0 * shoulders, half_width, half_depth, 0.62)
    if not chest.breasts:
        return body
    breast = ellipsoid(np.abs(x) - 72.0, y + 112.0, z - 150.0, (58.0, 34.0 * chest.breasts, 60.0))
    return smooth_min(body, breast, 22.0)


def _lung_hu(chest: Chest, y: Field, z: FieldLike, mottle: Field) -> Field:
    """Denser at the back and base; thinned in places where the patient has emphysema."""
    slope = y / HALF_DEPTH_MM + 0.3 * (np.asarray(z) / HEIGHT_MM - 0.5)
    hu = chest.lung_hu + chest.gradient_hu * slope + 9.0 * mottle
    return np.asarray(hu - chest.emphysema * 75.0 * smooth_step(mottle, 0.1, 0.9))
