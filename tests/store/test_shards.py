from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidcflow.store import volumes
from lidcflow.store.shards import shard_layout
from tests.store.examples import SMALL

ENDS = st.none() | st.integers(-SMALL.slices - 2, SMALL.slices + 2)


@pytest.fixture(scope="module")
def stored(tmp_path_factory, series, volume):
    store = volumes.VolumeStore(tmp_path_factory.mktemp("stored") / "store", SMALL)
    store.write(series, volume)
    return store


@given(start=ENDS, stop=ENDS, step=st.sampled_from([None, 1, 2]))
def test_any_run_of_slices_is_what_numpy_would_take(stored, volume, start, stop, step):
    run = slice(start, stop, step)

    np.testing.assert_array_equal(stored.read_hu("1.2.3", run), volume.hu[:, run])


@pytest.mark.parametrize("run", [slice(0, 5), slice(3, 11), slice(12, 13), slice(None), slice(4, 4)])
def test_a_layout_of_another_version_is_read_by_zarr_with_the_same_result(store, series, volume, monkeypatch, run):
    store.write(series, volume)
    monkeypatch.setattr(volumes, "shard_layout", lambda group: replace(shard_layout(group), known=False))

    np.testing.assert_array_equal(store.read_hu("1.2.3", run), volume.hu[:, run])


def test_a_layout_is_known_when_it_is_what_we_write(stored, monkeypatch):
    layouts = []
    monkeypatch.setattr(volumes, "shard_layout", lambda group: layouts.append(shard_layout(group)) or layouts[0])

    volumes.VolumeStore(stored.root, SMALL).read_hu("1.2.3")

    assert layouts[0].known


def test_the_layout_is_read_once_for_all_volumes(bucket_store, series, volume, objects):
    for uid in ("1.2.3", "1.2.4"):
        bucket_store.write(replace(series, series_instance_uid=uid), volume)
    bucket_store.read_hu("1.2.3", slice(0, 5))
    objects.requests.clear()

    bucket_store.read_hu("1.2.4", slice(0, 5))

    read = [request.rpartition("/bucket")[2] for request in objects.requests]
    shard = "/deep/store/series/1.2.4/0/c/0/0/0/0"
    assert read == ["/deep/store/committed/1.2.4", "", shard, shard, ""]


@pytest.mark.parametrize("size", [0, 10, 51, 52, 400])
def test_a_shard_that_was_cut_short_is_an_error_not_voxels(folder_store, series, volume, size):
    folder_store.write(series, volume)
    shard = Path(folder_store.root) / "series" / "1.2.3" / "0" / "c" / "0" / "0" / "0" / "0"
    shard.write_bytes(shard.read_bytes()[:size])

    with pytest.raises(ValueError, match="must have"):
        folder_store.read_hu("1.2.3", slice(0, 5))
