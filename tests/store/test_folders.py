from pathlib import Path

import pytest
import zarr

from lidcflow.errors import ResourceError, StoreError
from lidcflow.store.volumes import VolumeStore
from tests.store.examples import SMALL


@pytest.fixture
def store(folder_store):
    return folder_store


def test_a_level_is_one_shard_of_chunks_of_five_slices(store, series, volume):
    store.write(series, volume)
    array = zarr.open_array(Path(store.root) / "series" / "1.2.3" / "0", mode="r")

    assert array.shards == (2, 15, 16, 16)
    assert array.chunks == (2, 5, 16, 16)
    assert sum(path.is_file() for path in (Path(store.root) / "series" / "1.2.3" / "0" / "c").rglob("*")) == 1
    (codec,) = array.compressors
    assert (codec.cname.value, codec.shuffle.value) == ("lz4", "bitshuffle")


def test_a_volume_whose_voxels_are_gone_is_not_read_as_air(store, series, volume):
    store.write(series, volume)
    (Path(store.root) / "series" / "1.2.3" / "0" / "c" / "0" / "0" / "0" / "0").unlink()

    with pytest.raises(StoreError, match="must be preprocessed"):
        store.read_hu("1.2.3")


def test_a_missing_store_is_not_made_when_it_is_only_read(tmp_path):
    with pytest.raises(StoreError, match="run lidcflow preprocess first"):
        VolumeStore(tmp_path / "store", SMALL, create=False)

    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_files_does_not_become_a_store(tmp_path):
    (tmp_path / "thesis.txt").touch()

    with pytest.raises(StoreError, match="got other files"):
        VolumeStore(tmp_path, SMALL)

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_too_little_disk_is_refused_before_anything_is_written(store, series, volume, monkeypatch):
    monkeypatch.setattr("lidcflow.store.commit.RESERVE_BYTES", 2**62)

    with pytest.raises(ResourceError, match="free some space"):
        store.write(series, volume)

    assert {path.relative_to(store.root).as_posix() for path in Path(store.root).rglob("*")} == {
        "lidcflow.json",
        "zarr.json",
        "series",
        "series/zarr.json",
    }


def test_a_group_with_broken_facts_is_not_current_and_is_named(store, series, volume):
    store.write(series, volume)
    (Path(store.root) / "series" / "1.2.3" / "zarr.json").write_text('{"attributes": {}}')

    assert not store.is_current(series)
    with pytest.raises(StoreError, match="run lidcflow repair --verify"):
        store.record("1.2.3")


def test_a_guard_file_that_is_no_json_is_named(tmp_path):
    (tmp_path / "lidcflow.json").write_text("{")

    with pytest.raises(StoreError, match=r"lidcflow\.json must be JSON"):
        VolumeStore(tmp_path, SMALL)
