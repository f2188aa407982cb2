"""What other software makes of a volume."""

import numpy as np
import pytest
import yaozarrs
import zarr
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader

from lidcflow.config import PreprocessConfig
from lidcflow.store.volumes import VolumeStore
from lidcflow.volume.reduce import reduce_series
from tests.store.examples import FEATURES


@pytest.fixture
def address(store, series, volume, objects, monkeypatch):
    """Return the address of a volume with features, of each kind of store in turn; s3fs finds its way by itself."""
    for name, value in {"ENDPOINT_URL": objects.endpoint, "ACCESS_KEY_ID": "any", "SECRET_ACCESS_KEY": "any"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    store.write_features("1.2.3", "compact-1", FEATURES, store.write(series, volume))
    return f"{store.root}/series/1.2.3"


def test_a_volume_is_valid_ome_zarr_0_5(address):
    group = yaozarrs.open_group(address)

    assert yaozarrs.validate_zarr_store(group).ome_version() == "0.5"


def test_ome_zarr_py_reads_axes_scales_and_voxels(address, volume):
    (image,) = Reader(parse_url(address))()

    assert [axis["name"] for axis in image.metadata["axes"]] == ["c", "z", "y", "x"]
    assert {axis.get("unit") for axis in image.metadata["axes"]} == {None, "millimeter"}
    scales = [transformations[0]["scale"] for transformations in image.metadata["coordinateTransformations"]]
    np.testing.assert_allclose(scales, [[1, 30 / 13, 20, 20], [1, 30 / 13, 40, 40]])
    assert image.metadata["coordinateTransformations"][1][1]["translation"] == [0, 0, -85, -85]
    assert image.metadata["coordinateTransformations"][0][1]["translation"] == [0, 0, -95, -95]
    np.testing.assert_array_equal(image.data[0], volume.hu)
    assert [level.shape for level in image.data] == [(2, 13, 16, 16), (2, 13, 8, 8)]


def test_both_levels_of_an_odd_size_cover_the_same_field_of_view(tmp_path, series):
    odd = PreprocessConfig(size=17, slices=13)
    VolumeStore(tmp_path / "odd", odd).write(series, reduce_series(series, odd))

    (image,) = Reader(parse_url(str(tmp_path / "odd" / "series" / "1.2.3")))()

    rows_mm = [
        level.shape[2] * transformations[0]["scale"][2]
        for level, transformations in zip(image.data, image.metadata["coordinateTransformations"], strict=True)
    ]
    np.testing.assert_allclose(rows_mm, [320, 320])


def test_plain_zarr_reads_voxels_features_and_the_patients_key(address, series, volume):
    group = zarr.open_group(address, mode="r")

    np.testing.assert_array_equal(group["0"][:], volume.hu)
    np.testing.assert_array_equal(group["features/compact-1"][:], FEATURES)
    assert group["0"].metadata.dimension_names == ("c", "z", "y", "x")
    assert group.attrs["lidcflow"]["patient_key"] == series.patient_key


def test_the_coarse_level_is_the_mean_of_means_and_the_maximum_of_maxima(address, volume):
    coarse = zarr.open_array(f"{address}/1", mode="r")[:]

    blocks = volume.hu.reshape(2, 13, 8, 2, 8, 2)
    np.testing.assert_allclose(coarse[0], blocks[0].mean(axis=(2, 4)), atol=0.51)
    np.testing.assert_array_equal(coarse[1], blocks[1].max(axis=(2, 4)))
