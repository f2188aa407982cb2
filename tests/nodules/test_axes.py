import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidcflow.nodules.axes import axes_mm


def closed(*corners):
    return np.array([*corners, corners[0]], float)


def ellipse(long_mm, short_mm, turned_degrees, n=360):
    angle = np.linspace(0, 2 * np.pi, n + 1)
    turn = np.radians(turned_degrees)
    down, right = long_mm / 2 * np.cos(angle), short_mm / 2 * np.sin(angle)
    return np.stack([down * np.cos(turn) - right * np.sin(turn), down * np.sin(turn) + right * np.cos(turn)], axis=1)


@given(st.floats(0, 360), st.floats(4, 30), st.floats(0.3, 0.98))
def test_axes_of_an_ellipse_are_its_own_however_it_is_turned(turned, long_mm, share):
    measured = axes_mm(ellipse(long_mm, share * long_mm, turned))

    assert measured == pytest.approx((long_mm, share * long_mm), rel=0.01)


def test_short_axis_is_perpendicular_to_the_long_one():
    oblong = closed((0, 0), (0, 4), (3, 4), (3, 0))

    assert axes_mm(oblong)[1] == pytest.approx(15 / 4)


def test_short_axis_stays_within_the_outline():
    horseshoe = closed((0, 0), (0, 10), (1, 10), (1, 1), (3, 1), (3, 10), (4, 10), (4, 0))

    long_mm, short_mm = axes_mm(horseshoe)

    assert long_mm == pytest.approx(np.hypot(4, 10))
    assert short_mm < 4


def test_a_contour_without_extent_has_no_axes():
    assert axes_mm(closed((1, 1), (1, 1))) == (0.0, 0.0)
