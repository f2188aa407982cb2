from dataclasses import replace
from pathlib import Path

import numpy as np

from lidcflow.volume.reduce import reduce_series
from tests.store.examples import FEATURES, SMALL


def test_what_is_written_is_read_back(store, series, volume):
    store.write(series, volume)

    assert store.series_uids() == ["1.2.3"]
    np.testing.assert_array_equal(store.read_hu("1.2.3"), volume.hu)
    np.testing.assert_array_equal(store.read_hu("1.2.3", slice(5, 10)), volume.hu[:, 5:10])


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


def test_deleting_a_series_deletes_all_of_it(store, series, volume, contents):
    store.write_features("1.2.3", "compact-1", FEATURES, store.write(series, volume))

    store.delete("1.2.3")

    assert store.series_uids() == []
    assert sorted(contents(store)) == ["lidcflow.json", "series/zarr.json", "zarr.json"]


def test_a_volume_of_air_alone_is_a_volume(store, series, volume):
    air = replace(volume, hu=np.full_like(volume.hu, -1024))

    store.write(series, air)

    assert (store.read_hu("1.2.3") == -1024).all()


def test_a_bucket_and_a_folder_hold_the_same_bytes(folder_store, bucket_store, series, contents):
    for store in (folder_store, bucket_store):
        digest = store.write(series, reduce_series(series, SMALL))
        store.write_features("1.2.3", "compact-1", FEATURES, digest)

    in_bucket = contents(bucket_store)
    assert in_bucket.pop("committed/1.2.3") == b""
    assert in_bucket == contents(folder_store)
