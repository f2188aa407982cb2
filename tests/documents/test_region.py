import numpy as np
import pytest

from lidcflow.documents.region import region_of
from lidcflow.nodules.finding import Finding
from lidcflow.report.recommendation import VolumeFacts


@pytest.fixture
def region():
    """Outline a finding of 6 mm on an image of 512 x 512 pixels."""

    def make(row, column, row_spacing_mm=0.5, column_spacing_mm=0.5, diameter_mm=6.0):
        found = Finding.model_construct(row=row, column=column, diameter_mm=diameter_mm)
        spacing = {"row_spacing_mm": row_spacing_mm, "column_spacing_mm": column_spacing_mm}
        return region_of(found, VolumeFacts.model_construct(rows=512, columns=512, **spacing))

    return make


def test_a_circle_is_its_centre_and_a_point_of_its_circumference_column_first(region):
    kind, points = region(row=100.0, column=200.0)

    assert kind == "CIRCLE"
    np.testing.assert_array_equal(points, [[200.5, 100.5], [206.5, 100.5]])


def test_the_centre_of_the_first_pixel_is_at_one_half(region):
    assert region(row=0.0, column=0.0)[1][0].tolist() == [0.5, 0.5]


def test_the_point_of_the_circumference_lies_within_the_image(region):
    np.testing.assert_array_equal(region(row=100.0, column=510.0)[1], [[510.5, 100.5], [504.5, 100.5]])


def test_a_circle_on_the_patient_is_an_ellipse_where_pixels_are_not_square(region):
    kind, points = region(row=100.0, column=200.0, row_spacing_mm=1.0)

    assert kind == "ELLIPSE"
    np.testing.assert_array_equal(points, [[194.5, 100.5], [206.5, 100.5], [200.5, 97.5], [200.5, 103.5]])


def test_the_longer_axis_comes_first(region):
    _, points = region(row=100.0, column=200.0, column_spacing_mm=1.0)

    np.testing.assert_array_equal(points, [[200.5, 94.5], [200.5, 106.5], [197.5, 100.5], [203.5, 100.5]])


def test_spacings_that_differ_by_rounding_are_square(region):
    assert region(row=1.0, column=1.0, row_spacing_mm=0.5004)[0] == "CIRCLE"
