import hashlib
import json
import multiprocessing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr

from lidcflow.config import PreprocessConfig
from lidcflow.ct.reduce import reduce_series
from lidcflow.ct.series import index_folder
from lidcflow.errors import ResourceError, StoreError, StoreMismatch
from lidcflow.privacy import PUBLIC_KEY, patient_key
from lidcflow.store.volumes import VolumeStore

SMALL = PreprocessConfig(size=16, slices=13)
FEATURES = np.arange(13 * 4, dtype=np.float16).reshape(13, 4)


@pytest.fixture(scope="module")
def series(ct_series, tmp_path_factory):
    folder = ct_series(tmp_path_factory.mktemp("source"), series_uid="1.2.3", patient_id="Lovelace", n=12, size=32)
    return index_folder(folder, secret=PUBLIC_KEY).usable[0]


@pytest.fixture(scope="module")
def volume(series):
    return reduce_series(series, SMALL)


@pytest.fixture
def store(tmp_path):
    return VolumeStore(tmp_path / "store", SMALL)


def digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


def test_what_is_written_is_read_back(store, series, volume):
    store.write(series, volume)

    assert store.series_uids() == ["1.2.3"]
    np.testing.assert_array_equal(store.read_hu("1.2.3"), volume.hu)
    np.testing.assert_array_equal(store.read_hu("1.2.3", slice(5, 10)), volume.hu[:, 5:10])


def test_the_record_traces_every_slab_to_its_sources(store, series, volume):
    digest = store.write(series, volume)

    record = store.record("1.2.3")

    assert record.sources == volume.sources
    np.testing.assert_array_equal(record.edges_mm, volume.edges_mm)
    assert record.patient_key == patient_key("Lovelace", PUBLIC_KEY)
    assert (record.volume_digest, record.config_digest) == (digest, SMALL.digest)
    assert (record.study_instance_uid, record.frame_of_reference_uid) == (
        series.study_instance_uid,
        series.frame_of_reference_uid,
    )
    assert (record.n_source_slices, record.rows, record.columns) == (12, 32, 32)
    assert (record.slice_spacing_mm, record.row_spacing_mm, record.column_spacing_mm) == (2.5, 10, 10)
    assert record.acquisition["manufacturer"] == "Test"
    assert record.synthetic is False


def test_only_the_same_source_is_current(store, series, volume):
    before = store.is_current(series)
    store.write(series, volume)

    assert not before
    assert store.is_current(series)
    assert not store.is_current(replace(series, fingerprint="another"))


def test_same_input_and_configuration_give_the_same_bytes(tmp_path, series):
    for name in ("a", "b"):
        VolumeStore(tmp_path / name, SMALL).write(series, reduce_series(series, SMALL))

    assert digests(tmp_path / "a") == digests(tmp_path / "b")


def test_nothing_of_the_patient_or_the_source_path_is_stored(store, series, volume):
    store.write(series, volume)

    stored = b"".join(path.read_bytes() for path in store.root.rglob("*") if path.is_file())

    assert b"Lovelace" not in stored
    assert str(Path(series.slices[0].path).parent).encode() not in stored


def test_a_volume_is_an_ome_zarr_image_in_millimetres(store, series, volume):
    store.write(series, volume)

    group = zarr.open_group(store.root / "series" / "1.2.3", mode="r")
    (image,) = group.attrs["ome"]["multiscales"]
    fine, coarse = (group[dataset["path"]] for dataset in image["datasets"])

    assert group.attrs["ome"]["version"] == "0.5"
    assert [axis["name"] for axis in image["axes"]] == ["c", "z", "y", "x"]
    assert {axis.get("unit") for axis in image["axes"]} == {None, "millimeter"}
    scales = [dataset["coordinateTransformations"][0]["scale"] for dataset in image["datasets"]]
    np.testing.assert_allclose(scales, [[1, 30 / 13, 20, 20], [1, 30 / 13, 40, 40]])
    assert image["datasets"][1]["coordinateTransformations"][1]["translation"] == [0, 0, 10, 10]
    assert (fine.shape, coarse.shape) == ((2, 13, 16, 16), (2, 13, 8, 8))
    assert fine.metadata.dimension_names == ("c", "z", "y", "x")
    assert fine.dtype == np.int16


def test_the_coarse_level_is_the_mean_of_means_and_the_maximum_of_maxima(store, series, volume):
    store.write(series, volume)

    coarse = zarr.open_array(store.root / "series" / "1.2.3" / "1", mode="r")[:]

    blocks = volume.hu.reshape(2, 13, 8, 2, 8, 2)
    np.testing.assert_allclose(coarse[0], blocks[0].mean(axis=(2, 4)), atol=0.51)
    np.testing.assert_array_equal(coarse[1], blocks[1].max(axis=(2, 4)))


def test_a_level_is_one_shard_of_chunks_of_five_slices(store, series, volume):
    store.write(series, volume)
    array = zarr.open_array(store.root / "series" / "1.2.3" / "0", mode="r")

    assert array.shards == (2, 15, 16, 16)
    assert array.chunks == (2, 5, 16, 16)
    assert sum(path.is_file() for path in (store.root / "series" / "1.2.3" / "0" / "c").rglob("*")) == 1
    (codec,) = array.compressors
    assert (codec.cname.value, codec.shuffle.value) == ("lz4", "bitshuffle")


def test_writing_the_same_volume_again_keeps_its_features(store, series, volume):
    digest = store.write(series, volume)
    store.write_features("1.2.3", "compact-1", FEATURES, digest)

    store.write(series, volume)

    np.testing.assert_array_equal(store.read_features("1.2.3", "compact-1"), FEATURES)


def test_a_volume_of_another_source_replaces_the_old_one_and_its_features(store, series, volume):
    digest = store.write(series, volume)
    store.write_features("1.2.3", "compact-1", FEATURES, digest)
    changed = replace(volume, hu=volume.hu + np.int16(1))

    store.write(replace(series, fingerprint="another"), changed)

    np.testing.assert_array_equal(store.read_hu("1.2.3"), changed.hu)
    assert store.read_features("1.2.3", "compact-1") is None


def test_features_of_another_volume_are_ignored(store, series, volume):
    store.write(series, volume)

    store.write_features("1.2.3", "compact-1", FEATURES, "digest of another volume")

    assert store.read_features("1.2.3", "compact-1") is None


def test_features_are_replaced_whole(store, series, volume):
    digest = store.write(series, volume)
    for features in (FEATURES, FEATURES[:, :2] + np.float16(1)):
        store.write_features("1.2.3", "compact-1", features, digest)

    np.testing.assert_array_equal(store.read_features("1.2.3", "compact-1"), FEATURES[:, :2] + 1)


def test_features_need_a_volume(store):
    with pytest.raises(StoreError, match=r"series 1\.2\.3 must be preprocessed"):
        store.write_features("1.2.3", "compact-1", FEATURES, "digest")

    assert store.series_uids() == []


@pytest.mark.parametrize("feature_id", ["", "..", "../x", "a/b"])
def test_a_feature_id_stays_in_its_folder(store, series, volume, feature_id):
    with pytest.raises(ValueError, match="feature_id must be"):
        store.read_features("1.2.3", feature_id)


@pytest.mark.parametrize("uid", ["..", "../../x", "", "."])
def test_a_series_uid_stays_in_the_store(store, uid):
    with pytest.raises(StoreError, match="named by its UID"):
        store.delete(uid)


def test_an_absent_series_names_the_way_out(store):
    for read in (store.record, store.read_hu):
        with pytest.raises(StoreError, match="must be preprocessed, got no volume of it; run lidcflow preprocess"):
            read("1.2.3")


def test_deleting_a_series_deletes_all_of_it(store, series, volume):
    store.write_features("1.2.3", "compact-1", FEATURES, store.write(series, volume))

    store.delete("1.2.3")

    assert store.series_uids() == []
    assert [path.name for path in store.root.rglob("*") if path.is_file()] == ["lidcflow.json"]


def test_a_group_with_broken_facts_is_not_current_and_is_named(store, series, volume):
    store.write(series, volume)
    (store.root / "series" / "1.2.3" / "zarr.json").write_text('{"attributes": {}}')

    assert not store.is_current(series)
    with pytest.raises(StoreError, match="delete the group"):
        store.record("1.2.3")


def test_a_volume_whose_voxels_are_gone_is_not_read_as_air(store, series, volume):
    store.write(series, volume)
    (store.root / "series" / "1.2.3" / "0" / "c" / "0" / "0" / "0" / "0").unlink()

    with pytest.raises(StoreError, match="must be preprocessed"):
        store.read_hu("1.2.3")


def test_a_volume_of_air_alone_is_a_volume(store, series, volume):
    air = replace(volume, hu=np.full_like(volume.hu, -1024))

    store.write(series, air)

    assert (store.read_hu("1.2.3") == -1024).all()


def test_a_store_of_another_configuration_is_refused_naming_both(store):
    with pytest.raises(StoreMismatch) as refused:
        VolumeStore(store.root, PreprocessConfig(size=64, slices=13))

    assert "size = 16" in str(refused.value)
    assert "size = 64" in str(refused.value)
    assert "choose another workspace" in str(refused.value)


def test_a_store_opens_again_with_its_configuration(store, series, volume):
    store.write(series, volume)

    assert VolumeStore(store.root, SMALL, create=False).series_uids() == ["1.2.3"]


def test_a_missing_store_is_not_made_when_it_is_only_read(tmp_path):
    with pytest.raises(StoreError, match="run lidcflow preprocess first"):
        VolumeStore(tmp_path / "store", SMALL, create=False)

    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_files_does_not_become_a_store(tmp_path):
    (tmp_path / "thesis.txt").touch()

    with pytest.raises(StoreError, match="got other files"):
        VolumeStore(tmp_path, SMALL)

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_guard_file_that_is_no_json_is_named(tmp_path):
    (tmp_path / "lidcflow.json").write_text("{")

    with pytest.raises(StoreError, match=r"lidcflow\.json must be JSON"):
        VolumeStore(tmp_path, SMALL)


def test_the_guard_file_says_what_the_store_was_made_with(store):
    guard = json.loads((store.root / "lidcflow.json").read_text())

    assert PreprocessConfig(**guard["preprocess"]).digest == guard["preprocess_digest"] == SMALL.digest


def test_too_little_disk_is_refused_before_anything_is_written(store, series, volume, monkeypatch):
    monkeypatch.setattr("lidcflow.store.commit.RESERVE_BYTES", 2**62)

    with pytest.raises(ResourceError, match="free some space"):
        store.write(series, volume)

    assert [path.name for path in store.root.iterdir()] == ["lidcflow.json"]


def _write_often(root, series, volume):
    store = VolumeStore(root, SMALL)
    for number in range(8):
        store.write(replace(series, fingerprint=str(number)), replace(volume, hu=volume.hu + np.int16(number)))


def test_a_reader_beside_two_writers_sees_whole_volumes_only(store, series, volume):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_often, args=(store.root, series, volume)) for _ in range(2)]
    for writer in writers:
        writer.start()

    seen = set()
    while any(writer.is_alive() for writer in writers):
        try:
            seen.add(_shift(store, volume))
        except StoreError:
            continue

    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert _shift(store, volume) == 7
    assert len(seen) > 0


def _shift(store, volume):
    (shift,) = np.unique(store.read_hu("1.2.3") - volume.hu)
    return int(shift)
