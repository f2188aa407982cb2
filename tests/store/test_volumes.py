import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lidcflow.config import PreprocessConfig
from lidcflow.errors import StoreError, StoreMismatch
from lidcflow.privacy import PUBLIC_KEY, hash_patient_id
from lidcflow.store.volumes import VolumeStore
from lidcflow.volume.reduce import reduce_series
from tests.store.examples import FEATURES, SMALL, URL


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
    assert record.patient_key == hash_patient_id("Lovelace", PUBLIC_KEY)
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


def test_nothing_of_the_patient_or_the_source_path_is_stored(store, series, volume, contents):
    store.write(series, volume)

    stored = b"".join(contents(store).values())

    assert b"Lovelace" not in stored
    assert str(Path(series.slices[0].path).parent).encode() not in stored


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


MAPS = np.arange(5 * 4 * 4 * 8, dtype=np.float16).reshape(5, 4, 4, 8)


def test_maps_are_read_whole_and_slice_by_slice(store, series, volume):
    store.write_features("1.2.3", "compact-1", MAPS, store.write(series, volume))

    np.testing.assert_array_equal(store.read_features("1.2.3", "compact-1"), MAPS)
    np.testing.assert_array_equal(store.read_features("1.2.3", "compact-1", slice(1, 3)), MAPS[1:3])


def test_maps_of_damaged_slices_are_to_be_computed_anew_and_those_of_others_are_read(folder_store, series, volume):
    folder_store.write_features("1.2.3", "compact-1", MAPS, folder_store.write(series, volume))
    shard = Path(folder_store.root) / "series" / "1.2.3" / "features" / "compact-1" / "c" / "0" / "0" / "0" / "0"

    shard.write_bytes(bytes(8) + shard.read_bytes()[8:])

    np.testing.assert_array_equal(folder_store.read_features("1.2.3", "compact-1", slice(1, 3)), MAPS[1:3])
    assert folder_store.read_features("1.2.3", "compact-1", slice(0, 1)) is None
    shard.write_bytes(shard.read_bytes()[:-50])
    assert folder_store.read_features("1.2.3", "compact-1", slice(1, 3)) is None


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


def test_deleting_a_series_deletes_all_of_it(store, series, volume, contents):
    store.write_features("1.2.3", "compact-1", FEATURES, store.write(series, volume))

    store.delete("1.2.3")

    assert store.series_uids() == []
    assert list(contents(store)) == ["lidcflow.json"]


def test_a_volume_of_air_alone_is_a_volume(store, series, volume):
    air = replace(volume, hu=np.full_like(volume.hu, -1024))

    store.write(series, air)

    assert (store.read_hu("1.2.3") == -1024).all()


def test_a_store_of_another_configuration_is_refused_naming_both(store, objects):
    with pytest.raises(StoreMismatch) as refused:
        VolumeStore(store.root, PreprocessConfig(size=64, slices=13), access=objects.access)

    assert "size = 16" in str(refused.value)
    assert "size = 64" in str(refused.value)
    assert "choose another workspace" in str(refused.value)


def test_a_store_opens_again_with_its_configuration(store, series, volume, objects):
    store.write(series, volume)

    assert VolumeStore(store.root, SMALL, create=False, access=objects.access).series_uids() == ["1.2.3"]
    assert VolumeStore.found(store.root, objects.access).config == SMALL


def test_where_no_store_is_none_is_found(tmp_path, objects):
    for root in (tmp_path, URL):
        assert VolumeStore.found(root, objects.access) is None


def test_the_guard_file_says_what_the_store_was_made_with(store, contents):
    guard = json.loads(contents(store)["lidcflow.json"])

    assert PreprocessConfig(**guard["preprocess"]).digest == guard["preprocess_digest"] == SMALL.digest


def test_a_bucket_and_a_folder_hold_the_same_bytes(folder_store, bucket_store, series, contents):
    for store in (folder_store, bucket_store):
        digest = store.write(series, reduce_series(series, SMALL))
        store.write_features("1.2.3", "compact-1", FEATURES, digest)

    in_bucket = contents(bucket_store)
    assert in_bucket.pop("committed/1.2.3") == b""
    assert in_bucket == contents(folder_store)


def test_the_records_of_many_series_come_in_the_order_asked_for(store, series, volume):
    for uid in ("1.2.3", "1.2.4", "1.2.5"):
        store.write(replace(series, series_instance_uid=uid), volume)

    found = [record.series_instance_uid for record in store.records(["1.2.5", "1.2.3"])]

    assert (found, store.series_uids()) == (["1.2.5", "1.2.3"], ["1.2.3", "1.2.4", "1.2.5"])


def test_features_of_zeros_are_features(store, series, volume):
    store.write_features("1.2.3", "compact-1", FEATURES * 0, store.write(series, volume))

    assert (store.read_features("1.2.3", "compact-1") == 0).all()


def test_deleted_features_are_gone_and_the_volume_is_not(store, series, volume):
    store.write_features("1.2.3", "compact-1", FEATURES, store.write(series, volume))

    store.delete_features("1.2.3", "compact-1")

    assert store.feature_ids("1.2.3") == []
    assert store.series_uids() == ["1.2.3"]
