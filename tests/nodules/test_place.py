from dataclasses import replace

import pytest

from lidcflow.config import PreprocessConfig
from lidcflow.nodules.place import place_of
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_folder
from lidcflow.store.record import attributes_of, record_of
from lidcflow.volume.reduce import reduce_series

CONFIG = PreprocessConfig(slices=8, size=32)


@pytest.fixture
def record(tmp_path, ct_series):
    (verdict,) = index_folder(ct_series(tmp_path / "source"), secret=PUBLIC_KEY)
    return record_of(attributes_of(verdict.series, reduce_series(verdict.series, CONFIG), CONFIG))


def test_a_place_names_the_nearest_source_image_its_slice_and_the_patients_coordinates(record):
    image = record.source_slices[5]

    place = place_of(record, image.z_mm + 0.1, 3.0, 4.0)

    x_mm, y_mm, _ = record.pixel_point_mm(place["z_mm"], 3.0, 4.0)
    k = place["slice_number"]
    assert (place["sop_instance_uid"], place["instance_number"]) == (image.sop_instance_uid, image.instance_number)
    assert record.edges_mm[k - 1] >= place["z_mm"] > record.edges_mm[k]
    assert (place["x_mm"], place["y_mm"]) == pytest.approx((x_mm, y_mm))


def test_the_ends_of_the_volume_belong_to_its_first_and_last_slice(record):
    top, bottom = record.edges_mm[[0, -1]]

    assert place_of(record, top, 0.0, 0.0)["slice_number"] == 1
    assert place_of(record, bottom, 0.0, 0.0)["slice_number"] == 8


@pytest.mark.parametrize("beyond_mm", [0.01, 500.0])
def test_a_place_above_or_below_the_slices_is_in_none(record, beyond_mm):
    assert place_of(record, record.edges_mm[0] + beyond_mm, 0.0, 0.0) is None
    assert place_of(record, record.edges_mm[-1] - beyond_mm, 0.0, 0.0) is None


def test_a_volume_that_does_not_keep_where_its_pixels_are_leaves_the_patients_coordinates_out(record):
    assert "x_mm" not in place_of(replace(record, axes=None), record.source_slices[0].z_mm, 0.0, 0.0)
