"""A store opened by `lf.open_store`: volumes, source images, labels, and the whole as Zarr."""

import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import lidcflow as lf
from lidcflow.config import PreprocessConfig
from lidcflow.errors import ConfigError, LabelError, StoreError
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_folder
from lidcflow.store.volumes import VolumeStore
from lidcflow.volume.reduce import reduce_series

SMALL = PreprocessConfig(size=16, slices=8)
UID = "1.2.3"
URL = "s3://bucket/deep/store"


def series_of(folder, ct_series, **settings):
    source = ct_series(folder, series_uid=UID, n=16, size=32, spacing_mm=2.0, PixelSpacing=[0.5, 0.5], **settings)
    return index_folder(source, secret=PUBLIC_KEY).usable[0]


@pytest.fixture
def made(tmp_path, ct_series):
    """A store with one series: 16 images of 32 x 32, 2 mm apart, reduced to 8 slices of 16 x 16."""
    series = series_of(tmp_path / "source", ct_series)
    store = VolumeStore(str(tmp_path / "store"), SMALL)
    store.write(series, reduce_series(series, SMALL))
    return store


@pytest.fixture
def store(made):
    return lf.open_store(made.root)


def test_it_lists_its_series(store):
    assert (store.series, len(store)) == ([UID], 1)
    assert store.table().loc[UID, ["rows", "slice_spacing_mm", "synthetic"]].tolist() == [32, 2.0, False]


def test_a_volume_has_named_axes_and_hu(store, made):
    volume = store.volume(UID)

    assert (volume.dims, volume.shape, volume.dtype) == (("channel", "slice", "row", "column"), (2, 8, 16, 16), "int16")
    assert np.array_equal(volume.values, made.read_hu(UID))
    assert (volume.units, volume.series_instance_uid, volume.notice) == (
        "HU",
        UID,
        "Research use only, not for diagnosis.",
    )


def test_slices_count_from_the_top_and_have_their_places_in_mm(store, made):
    volume, edges_mm = store.volume(UID), made.record(UID).edges_mm

    assert volume.slice.values.tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert (volume.z_top_mm[0], volume.z_bottom_mm[7]) == (edges_mm[0], edges_mm[8])
    assert np.allclose(volume.z_mm, (edges_mm[:-1] + edges_mm[1:]) / 2)
    assert volume.z_mm[0] > volume.z_mm[7]
    assert volume.z_mm.units == "mm"


def test_rows_and_columns_have_their_places_in_mm(store, made):
    volume = store.volume(UID)

    # a cell is two pixels of 0.5 mm: its centre lies a quarter of a millimetre after the first pixel's
    assert volume.row_mm.values[:3].tolist() == [0.25, 1.25, 2.25]
    x_mm, y_mm, z_mm = made.record(UID).voxel_point_mm(2, 3, 7, 16)
    assert (volume.x_mm[7], volume.y_mm[3], volume.z_mm[2]) == pytest.approx((x_mm, y_mm, z_mm))


def test_an_image_axis_that_is_not_the_patients_has_no_place_in_the_patient(tmp_path, ct_series):
    series = series_of(tmp_path / "turned", ct_series, ImageOrientationPatient=[0, 1, 0, -1, 0, 0])
    store = VolumeStore(str(tmp_path / "store"), SMALL)
    store.write(series, reduce_series(series, SMALL))
    volume = lf.open_store(store.root).volume(UID)

    assert "row_mm" in volume.coords
    assert {"x_mm", "y_mm"}.isdisjoint(volume.coords)


def test_the_half_size_covers_the_same_field(store):
    whole, half = store.volume(UID), store.volume(UID, level=1)

    assert half.shape == (2, 8, 8, 8)
    assert half.row_mm.values[0] == whole.row_mm.values[:2].mean()


def test_a_level_that_is_not_there_is_refused(store):
    with pytest.raises(ValueError, match="level must be 0 or 1, got 2"):
        store.volume(UID, level=2)


def test_a_slice_names_its_source_images_and_their_shares(store):
    images = store.sources(UID, 2)

    assert images.instance_number.tolist() == [3, 4]
    assert images.weight.sum() == pytest.approx(1)
    assert len(store.sources(UID)) == 16


def test_a_slice_that_is_not_there_is_refused(store):
    with pytest.raises(ValueError, match="slice must be 1 to 8, got 0"):
        store.sources(UID, 0)


def test_labels_come_from_an_annotation_file(store, tmp_path):
    z_mm = float(store.volume(UID).z_mm[2])
    rows = f"series_instance_uid,z_top_mm,z_bottom_mm,malignancy\n{UID},{z_mm + 0.5},{z_mm - 0.5},5\n"
    (tmp_path / "mine.csv").write_text(rows)

    labels = store.labels(UID, tmp_path / "mine.csv")

    assert labels.values.tolist() == [0, 0, 2, 0, 0, 0, 0, 0]
    assert labels.classes[2] == "malignant"
    assert labels.z_mm.equals(store.volume(UID).z_mm)


def test_a_series_without_annotations_has_no_labels(store):
    with pytest.raises(LabelError, match=r"series 1\.2\.3: must be one of LIDC-IDRI to have labels"):
        store.labels(UID)


def test_a_series_that_is_not_there_is_named(store):
    with pytest.raises(StoreError, match=r"series 9\.9 must be preprocessed"):
        store.volume("9.9")


def listed(group):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return [name for name, _ in group.members(max_depth=None)]


@pytest.mark.parametrize("older", [False, True])
def test_the_whole_store_is_one_zarr_group(store, older):
    """Nothing beside the hierarchy is listed, and a store of version 0.1 has no description of its root."""
    (Path(store.place) / ".incoming").mkdir(exist_ok=True)
    if older:
        for key in ("zarr.json", "series/zarr.json"):
            (Path(store.place) / key).unlink()

    assert sorted(listed(store.zarr)) == [
        "series",
        f"series/{UID}",
        f"series/{UID}/0",
        f"series/{UID}/1",
        f"series/{UID}/features",
    ]
    assert np.array_equal(store.zarr[f"series/{UID}/0"][:], store.volume(UID))
    with pytest.raises(ValueError, match="read-only"):
        store.zarr.create_group("mine")


def test_a_voxel_file_that_is_gone_is_not_read_as_air(store):
    (Path(store.place) / "series" / UID / "0" / "c" / "0" / "0" / "0" / "0").unlink()

    with pytest.raises(FileNotFoundError):
        store.zarr[f"series/{UID}/0"][:]


def test_a_store_in_a_bucket_is_opened_by_its_url(tmp_path, ct_series, objects):
    series = series_of(tmp_path / "source", ct_series)
    VolumeStore(URL, SMALL, access=objects.access).write(series, reduce_series(series, SMALL))
    settings = objects.access.s3.model_dump(mode="json", exclude_none=True)
    lines = (f"{key} = {json.dumps(value)}" for key, value in settings.items())
    (tmp_path / "lidcflow.toml").write_text("\n".join(["[access.s3]", *lines]))

    store = lf.open_store(URL, config=tmp_path / "lidcflow.toml")

    assert store.volume(UID).shape == (2, 8, 16, 16)
    assert f"series/{UID}/0" in listed(store.zarr)
    assert np.array_equal(store.zarr[f"series/{UID}/0"][:], store.volume(UID))


def test_a_workspace_is_answered_with_the_store_in_it(made, tmp_path):
    with pytest.raises(StoreError, match=r"this is a workspace, open .*/store"):
        lf.open_store(tmp_path)


def test_a_folder_without_a_store_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"must be the folder or URL of a store, got none; check the path"):
        lf.open_store(tmp_path / "nothing")


@pytest.mark.parametrize("place", ["", " "])
def test_an_empty_place_is_shown(place):
    with pytest.raises(StoreError, match=f"^store '{place}': must be the folder or URL of a store"):
        lf.open_store(place)


@pytest.mark.parametrize("uid", [None, 5, "", "../x"])
def test_what_is_no_uid_is_shown_and_the_store_is_not_blamed(store, uid):
    for asked in (store.volume, store.sources, store.labels):
        with pytest.raises(StoreError, match=f"UID of digits and dots, got {re.escape(repr(uid))}; check the UID"):
            asked(uid)


@pytest.mark.parametrize("number", [0, 99, "x", 1.5])
def test_a_slice_that_there_is_not_is_shown(store, number):
    with pytest.raises(ValueError, match=f"slice must be 1 to 8, got {number}; 1 is the top"):
        store.sources(UID, number)


@pytest.mark.parametrize(("readers", "rule"), [(0, "greater than or equal to 1"), (9, "4"), ("x", "whole number")])
def test_a_number_of_readers_that_there_can_not_be_is_one_sentence(store, readers, rule):
    with pytest.raises(ConfigError, match=rf"^labels: min_readers: must be .*({rule}), got {readers!r}$"):
        store.labels(UID, min_readers=readers)
