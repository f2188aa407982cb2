"""Where in the patient a pixel is, and how slices are turned."""

import numpy as np
import pytest

from lidcflow.config import PreprocessConfig
from lidcflow.dicom.orientation import cell_centre, usual_planes, usual_point, usual_view, view_flags
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_folder
from lidcflow.store.volumes import VolumeStore
from lidcflow.volume.reduce import reduce_series

X, Y = (1, 0, 0), (0, 1, 0)
LEFT_TO_RIGHT, BACK_TO_FRONT = (-1, 0, 0), (0, -1, 0)
VIEWS = {
    "usual": (X, Y),
    "rows mirrored": (LEFT_TO_RIGHT, Y),
    "columns mirrored": (X, BACK_TO_FRONT),
    "half a turn": (LEFT_TO_RIGHT, BACK_TO_FRONT),
    "transposed": (Y, X),
    "a quarter turn": (Y, LEFT_TO_RIGHT),
    "a quarter turn back": (BACK_TO_FRONT, X),
    "transposed the other way": (BACK_TO_FRONT, LEFT_TO_RIGHT),
}
MARK_MM = np.array([-64.0, 16.0])
"""x and y of a bright spot in the patient: to his right, and behind the centre; at a corner of cells of both levels."""

SIZE, PIXEL_MM = 64, 4.0


def scene(ct_series, folder, row, column):
    """Write a series that shows the mark, stored in the given view; its centre is that of the patient."""
    row, column = np.array(row, float), np.array(column, float)
    first_mm = -(SIZE - 1) / 2 * PIXEL_MM * (row + column)
    places = np.array([[first_mm + PIXEL_MM * (r * column + c * row) for c in range(SIZE)] for r in range(SIZE)])
    hu = np.where(np.linalg.norm(places[..., :2] - MARK_MM, axis=2) < 9.0, 400, -800)
    return ct_series(
        folder,
        n=8,
        size=SIZE,
        hu=np.broadcast_to(hu, (8, SIZE, SIZE)),
        PixelSpacing=[PIXEL_MM, PIXEL_MM],
        ImageOrientationPatient=[*row, *column],
        ImagePositionPatient=lambda i: [first_mm[0], first_mm[1], 40.0 - 5.0 * i],
    )


@pytest.fixture(params=VIEWS.values(), ids=VIEWS)
def stored(request, ct_series, tmp_path):
    """Return a stored volume of each of the eight views, and its record."""
    row, column = request.param
    (verdict,) = index_folder(scene(ct_series, tmp_path / "ct", row, column), secret=PUBLIC_KEY)
    config = PreprocessConfig(size=32, slices=8)
    store = VolumeStore(tmp_path / "store", config)
    store.write(verdict.series, reduce_series(verdict.series, config))
    return store, store.record(verdict.series_instance_uid)


def centre_of_mark(plane):
    """Return row and column of what is bright, weighted."""
    bright = plane.astype(float) - plane.min()
    rows, columns = np.indices(plane.shape)
    return (rows * bright).sum() / bright.sum(), (columns * bright).sum() / bright.sum()


def test_a_voxel_is_where_the_patient_has_it_at_both_levels(stored):
    store, record = stored

    for level, hu in enumerate(store.read_levels(record.series_instance_uid)):
        x, y, z = record.voxel_point_mm(3, *centre_of_mark(hu[0, 3]), size=32 >> level)

        np.testing.assert_allclose([x, y], MARK_MM, atol=1e-9)
        assert z == pytest.approx(25.0)


def test_a_source_pixel_is_where_its_header_says(stored):
    _, record = stored
    axes = record.axes

    point = record.pixel_point_mm(35.0, 2, 5)

    expected = np.array(axes.origin_mm) + 5 * PIXEL_MM * np.array(axes.row) + 2 * PIXEL_MM * np.array(axes.column)
    np.testing.assert_allclose(point, [*expected[:2], 35.0])


def test_the_usual_view_shows_the_mark_on_the_left_and_below_the_middle(stored):
    store, record = stored
    hu = usual_view(store.read_hu(record.series_instance_uid), record.axes.orientation)

    row, column = centre_of_mark(hu[0, 3])

    assert column == pytest.approx(15.5 + MARK_MM[0] / 8.0, abs=0.1)
    assert row == pytest.approx(15.5 + MARK_MM[1] / 8.0, abs=0.1)


def test_views_other_than_the_usual_are_flagged():
    found = {name: view_flags([*row, *column], "HFS") for name, (row, column) in VIEWS.items()}

    mirrored = {"rows mirrored", "columns mirrored", "transposed", "transposed the other way"}
    assert found.pop("usual") == []
    assert {name for name, flags in found.items() if flags == ["mirrored-in-plane"]} == mirrored
    assert all(flags == ["rotated-in-plane"] for name, flags in found.items() if name not in mirrored)


@pytest.mark.parametrize(
    ("position", "flags"),
    [("HFS", []), ("FFS", []), (None, []), ("HFP", ["prone"]), ("FFP", ["prone"]), ("HFDR", ["decubitus"]), ("", [])],
)
def test_a_patient_who_does_not_lie_on_his_back_is_flagged(position, flags):
    assert view_flags([1, 0, 0, 0, 1, 0], position) == flags


def test_a_leaning_stack_keeps_its_way(ct_series, tmp_path):
    (verdict,) = index_folder(
        ct_series(tmp_path, ImagePositionPatient=lambda i: [-100 + 0.02 * i, -100, 50 - 2.5 * i]), secret=PUBLIC_KEY
    )

    np.testing.assert_allclose(verdict.series.axes.point_mm(47.5, 0, 10), [-89.98, -100, 47.5])


def test_the_centre_of_a_cell_lies_between_its_pixels():
    assert [cell_centre(cell, pixels=4, cells=2) for cell in (0, 1)] == [0.5, 2.5]


@pytest.mark.parametrize("view", VIEWS)
def test_a_place_of_a_slice_is_turned_as_the_slice_is(view):
    orientation = (*VIEWS[view][0], *VIEWS[view][1])
    stored = np.zeros((6, 9))
    stored[1, 2] = 1

    across, down = usual_point(2.5 / 9, 1.5 / 6, orientation)

    shown = usual_view(stored, orientation)
    ((row, column),) = np.argwhere(shown)
    assert (across * shown.shape[1], down * shown.shape[0]) == pytest.approx((column + 0.5, row + 0.5))


@pytest.mark.parametrize("view", VIEWS)
def test_planes_through_a_place_are_turned_as_the_slices_are(view):
    orientation = (*VIEWS[view][0], *VIEWS[view][1])
    rows, columns = np.indices((4, 4))
    depth = 100 * rows

    axial, coronal, sagittal = usual_planes(
        np.stack([10 * rows + columns, depth + columns, depth + 10 * rows.T]), orientation
    )

    shown = usual_view(10 * rows + columns, orientation)
    from_right_to_left, from_front_to_back = shown[0] - shown[0].min(), shown[:, 0] - shown[:, 0].min()
    np.testing.assert_array_equal(axial, shown)
    np.testing.assert_array_equal(coronal, depth + from_right_to_left)
    np.testing.assert_array_equal(sagittal, depth + from_front_to_back)
