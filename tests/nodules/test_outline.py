import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lidcflow.nodules.outline import outline_of

SIDE = 48


def ellipsoid(axes_mm, voxel_mm=0.75, centre_mm=(0.0, 0.0, 0.0), turned_degrees=0.0):
    """P of an ellipsoid, 1 inside and 0 outside over a voxel's width; turned within the axial plane."""
    offsets = (np.arange(SIDE) - (SIDE - 1) / 2) * voxel_mm
    z, down, right = np.meshgrid(*(offsets - c for c in centre_mm), indexing="ij")
    turn = np.radians(turned_degrees)
    turned = (z, down * np.cos(turn) + right * np.sin(turn), right * np.cos(turn) - down * np.sin(turn))
    radius = np.sqrt(sum((axis / (mm / 2)) ** 2 for axis, mm in zip(turned, axes_mm, strict=True)))
    return (0.5 + (1 - radius) * min(axes_mm) / 2 / voxel_mm).clip(0, 1)


def volume_mm3(axes_mm):
    return np.pi / 6 * np.prod(axes_mm)


def spheres(least_mm):
    """Draw a diameter and the edge of a voxel, as the two grids of cubes hold them."""
    return st.one_of(st.tuples(st.floats(least_mm, 25), st.just(0.75)), st.tuples(st.floats(20, 50), st.just(1.5)))


@given(spheres(least_mm=4))
@settings(max_examples=25, deadline=None)
def test_both_axes_of_a_sphere_are_its_diameter(diameter_and_voxel_mm):
    diameter_mm, voxel_mm = diameter_and_voxel_mm

    outline = outline_of(ellipsoid((diameter_mm,) * 3, voxel_mm), voxel_mm)

    assert outline.long_axis_mm == pytest.approx(diameter_mm, abs=0.35 * voxel_mm)
    assert outline.short_axis_mm == pytest.approx(diameter_mm, abs=0.35 * voxel_mm)
    assert not outline.cut


@given(spheres(least_mm=4))
@example((4.5, 0.75))
@settings(max_examples=25, deadline=None)
def test_the_volume_of_a_sphere_is_that_of_the_voxels_whose_middles_it_holds(diameter_and_voxel_mm):
    diameter_mm, voxel_mm = diameter_and_voxel_mm
    squared = ((np.arange(SIDE) - (SIDE - 1) / 2) * voxel_mm) ** 2
    inside = squared[:, None, None] + squared[:, None] + squared <= (diameter_mm / 2) ** 2

    outline = outline_of(ellipsoid((diameter_mm,) * 3, voxel_mm), voxel_mm)

    assert outline.volume_mm3 == pytest.approx(inside.sum() * voxel_mm**3)


# Of smaller spheres the voxels themselves hold up to a quarter more or less than the sphere, as of one of 4.5 mm.
@given(spheres(least_mm=8 * 0.75))
@settings(max_examples=25, deadline=None)
def test_the_volume_of_a_sphere_of_eight_voxels_or_more_is_its_own(diameter_and_voxel_mm):
    diameter_mm, voxel_mm = diameter_and_voxel_mm

    outline = outline_of(ellipsoid((diameter_mm,) * 3, voxel_mm), voxel_mm)

    assert outline.volume_mm3 == pytest.approx(volume_mm3((diameter_mm,) * 3), rel=0.35 * voxel_mm / diameter_mm * 3)


@given(st.floats(0, 180))
@settings(max_examples=25, deadline=None)
def test_axes_of_an_ellipsoid_are_measured_at_any_angle(turned):
    outline = outline_of(ellipsoid((8.0, 18.0, 10.0), turned_degrees=turned), 0.75)

    assert outline.long_axis_mm == pytest.approx(18.0, abs=0.3)
    assert outline.short_axis_mm == pytest.approx(10.0, abs=0.3)
    assert outline.volume_mm3 == pytest.approx(volume_mm3((8.0, 18.0, 10.0)), rel=0.02)


def test_a_mask_of_0_and_1_is_measured_within_a_voxel():
    mask = (ellipsoid((12.0, 12.0, 12.0)) >= 0.5).astype(float)

    outline = outline_of(mask, 0.75)

    assert outline.long_axis_mm == pytest.approx(12.0, abs=0.75)
    assert outline.short_axis_mm == pytest.approx(12.0, abs=0.75)


@pytest.mark.parametrize("diameter_mm", [4.0, 10.0])
def test_a_nodule_3_mm_off_the_middle_is_found_where_it_is(diameter_mm):
    outline = outline_of(ellipsoid((diameter_mm,) * 3, centre_mm=(-3.0, 1.0, 2.0)), 0.75)

    assert (outline.middle - (SIDE - 1) / 2) * 0.75 == pytest.approx(-3.0, abs=0.75)
    np.testing.assert_allclose(outline.contour_mm[:-1].mean(axis=0), [1.0, 2.0], atol=0.3)
    assert outline.long_axis_mm == pytest.approx(diameter_mm, abs=0.3)


def test_contour_is_closed():
    contour_mm = outline_of(ellipsoid((10.0, 10.0, 10.0)), 0.75).contour_mm

    np.testing.assert_array_equal(contour_mm[0], contour_mm[-1])


def test_axes_are_measured_where_the_area_is_largest():
    cone = np.concatenate([ellipsoid((30.0, d, d))[k : k + 1] for k, d in enumerate(np.linspace(4, 16, SIDE))])
    cone[:8] = cone[40:] = 0

    outline = outline_of(cone, 0.75)

    assert outline.mask[outline.middle].sum() == outline.mask.sum(axis=(1, 2)).max()


def test_only_the_part_at_the_middle_is_the_nodule():
    vessel = ellipsoid((8.0, 8.0, 8.0), centre_mm=(0.0, 0.0, 12.0))

    outline = outline_of(np.maximum(ellipsoid((8.0, 8.0, 8.0)), vessel), 0.75)

    assert outline.long_axis_mm == pytest.approx(8.0, abs=0.3)
    assert outline.volume_mm3 == pytest.approx(volume_mm3((8.0,) * 3), rel=0.05)


def test_a_hole_belongs_to_the_nodule():
    cavity = np.minimum(ellipsoid((16.0,) * 3), 1 - ellipsoid((6.0,) * 3))

    outline = outline_of(cavity, 0.75)

    assert outline.mask[SIDE // 2, SIDE // 2, SIDE // 2]
    assert outline.volume_mm3 == pytest.approx(volume_mm3((16.0,) * 3), rel=0.03)
    assert outline.long_axis_mm == pytest.approx(16.0, abs=0.3)


def test_nothing_inside_has_no_outline():
    assert outline_of(np.zeros((SIDE,) * 3), 0.75) is None


def test_what_is_far_from_the_middle_has_no_outline():
    assert outline_of(ellipsoid((4.0,) * 3, centre_mm=(0.0, 9.0, 0.0)), 0.75) is None


def test_what_fills_the_cube_has_no_outline():
    assert outline_of(np.ones((SIDE,) * 3), 0.75) is None


def test_what_runs_through_the_cube_has_no_outline():
    assert outline_of(ellipsoid((8.0, 200.0, 8.0)), 0.75) is None


def test_what_a_face_of_the_cube_cuts_is_told_and_closed_there():
    outline = outline_of(ellipsoid((20.0,) * 3, centre_mm=(0.0, 12.0, 0.0)), 0.75)

    assert outline.cut
    np.testing.assert_array_equal(outline.contour_mm[0], outline.contour_mm[-1])
    assert outline.contour_mm[:, 0].max() <= 18.0


def test_probabilities_of_half_precision_have_an_outline():
    outline = outline_of(ellipsoid((10.0,) * 3).astype(np.float16), 0.75)

    assert outline.long_axis_mm == pytest.approx(10.0, abs=0.3)
