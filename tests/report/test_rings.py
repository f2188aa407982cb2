import numpy as np
import pytest

from lidcflow.dicom.orientation import usual_view
from lidcflow.report.rings import rings_by_slice, rings_of

ORIENTATIONS = [
    (1.0, 0, 0, 0, 1.0, 0),
    (-1.0, 0, 0, 0, 1.0, 0),
    (-1.0, 0, 0, 0, -1.0, 0),
    (0, 1.0, 0, -1.0, 0, 0),
    (0, -1.0, 0, 1.0, 0, 0),
    (0, -1.0, 0, -1.0, 0, 0),
]


@pytest.fixture
def rings(study, finding):
    """Circle one finding in the third of eight slices."""

    def make(volume=None, **changes):
        said = study(findings=[finding(1, 3, **changes)])
        return rings_of(said, said.volume.model_copy(update=volume or {}))

    return make


def test_a_circle_lies_at_the_pixel_of_its_finding_in_mm_and_in_shares(rings):
    (ring,) = rings(row=127.5, column=383.5, z_mm=-25.0)

    assert (ring.x_mm, ring.y_mm) == pytest.approx((384 * 0.7, 128 * 0.7))
    assert (ring.across, ring.down) == pytest.approx((0.75, 25 / 80))


def test_a_circle_is_wider_than_its_finding_and_never_too_small_to_see(rings):
    assert rings(diameter_mm=20.0)[0].radius_mm == pytest.approx(13.0)
    assert rings(diameter_mm=3.0)[0].radius_mm == pytest.approx(0.025 * 512 * 0.7)


def test_a_finding_is_circled_on_every_slice_that_it_reaches_into(rings):
    small, large = rings(diameter_mm=6.0), rings(diameter_mm=14.0)

    assert sorted(rings_by_slice(small, 8)) == [3]
    assert sorted(rings_by_slice(large, 8)) == [2, 3, 4]
    assert {ring.slice_number for ring in large} == {3}


def test_a_finding_at_the_rim_of_the_volume_reaches_into_slices_that_are_there(study, finding):
    said = study(findings=[finding(1, 1, diameter_mm=40.0)])

    (ring,) = rings_of(said, said.volume)

    assert (ring.first_slice, ring.last_slice) == (1, 3)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_circle_follows_its_pixel_however_slices_are_stored(rings, orientation):
    stored = np.zeros((6, 9))
    stored[1, 2] = 1
    place = {"row": 1.0, "column": 2.0}
    size = {"rows": 6, "columns": 9, "row_spacing_mm": 2.0, "column_spacing_mm": 2.0, "orientation": orientation}

    (ring,) = rings(size, **place)

    row, column = np.argwhere(usual_view(stored, orientation))[0]
    assert (ring.x_mm, ring.y_mm) == pytest.approx((2 * (column + 0.5), 2 * (row + 0.5)))
