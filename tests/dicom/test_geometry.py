import numpy as np
import pytest

from lidcflow.dicom.geometry import angle_to_axis_deg, are_directions, normal_of, shear_deg


def test_the_normal_points_to_the_head_whichever_way_the_columns_run():
    feet_first = normal_of([-1, 0, 0, 0, 1, 0])

    np.testing.assert_array_equal(feet_first, [0, 0, 1])


def test_a_sagittal_plane_is_ninety_degrees_from_axial():
    assert angle_to_axis_deg(normal_of([0, 1, 0, 0, 0, -1])) == pytest.approx(90)


def test_a_stack_along_its_normal_has_no_shear():
    positions_mm = np.array([[5.0, 5.0, 0.0], [5.0, 5.0, 2.0], [5.0, 5.0, 4.0]])

    assert shear_deg(positions_mm, normal_of([1, 0, 0, 0, 1, 0])) == 0


def test_shear_is_the_gantry_tilt():
    tilt = np.radians(14)
    normal = normal_of([1, 0, 0, 0, np.cos(tilt), -np.sin(tilt)])
    positions_mm = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 5.0]])

    assert shear_deg(positions_mm, normal) == pytest.approx(14)


def test_vectors_that_are_not_two_directions_at_a_right_angle_are_refused():
    assert are_directions(1, 0, 0, 0, 1, 0)
    assert not are_directions(0, 0, 0, 0, 0, 0)
    assert not are_directions(1, 0, 0, 1, 0, 0)


def test_the_normal_is_of_unit_length_where_headers_round_their_cosines():
    np.testing.assert_allclose(normal_of([0.6, 0, 0, 0, 0.6, 0]), [0, 0, 1])


def test_a_tilted_normal_that_points_up_stays():
    np.testing.assert_allclose(normal_of([1, 0, 0, 0, 0.8, -0.6]), [0, 0.6, 0.8])


def test_a_normal_across_the_long_axis_is_that_of_rows_and_columns():
    np.testing.assert_array_equal(normal_of([0, 1, 0, 0, 0, -1]), [-1, 0, 0])


def test_oblique_directions_count_in_all_three_axes():
    assert are_directions(2 / 3, 2 / 3, 1 / 3, 2 / 3, -1 / 3, -2 / 3)


def test_cosines_may_be_off_by_a_thousandth():
    assert are_directions(1.0009, 0, 0, 0, 1, 0)
    assert not are_directions(1.0012, 0, 0, 0, 1, 0)
    assert are_directions(1, 0, 0, 0, 1.0009, 0)
    assert not are_directions(1, 0, 0, 0, 1.0012, 0)
    assert are_directions(1, 0, 0, 0.001, 1, 0)
    assert not are_directions(1, 0, 0, 0.0011, 1, 0)


def test_a_normal_longer_than_1_by_rounding_has_an_angle():
    assert angle_to_axis_deg(np.array([0, 0, -1 - 1e-12])) == 0
