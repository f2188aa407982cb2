import threading
from dataclasses import replace

import numpy as np
import pytest

from lidcflow.errors import ResourceError, StoreError
from lidcflow.store import buckets
from lidcflow.store.volumes import VolumeStore
from tests.object_storage import every
from tests.store.examples import FEATURES, SMALL, URL


@pytest.fixture
def store(bucket_store):
    return bucket_store


def test_the_marker_is_written_last_and_goes_first(store, series, volume, objects):
    objects.requests.clear()
    store.write(series, volume)
    puts = [request.rpartition("store/")[2] for request in objects.requests if request.startswith("PUT")]
    objects.requests.clear()
    with objects.faulty(once_then_503("POST")), pytest.raises(ResourceError):
        store.delete("1.2.3")

    assert puts[-2:] == ["series/1.2.3/zarr.json", "committed/1.2.3"]
    assert sorted(puts[:-2]) == [f"series/1.2.3/{name}" for name in PARTS]
    assert store.series_uids() == []


PARTS = ["0/c/0/0/0/0", "0/zarr.json", "1/c/0/0/0/0", "1/zarr.json", "features/zarr.json"]


def once_then_503(method):
    count = iter(range(1000))
    return lambda environ: 503 if environ["REQUEST_METHOD"] == method and next(count) else None


def test_a_marker_that_another_writer_set_meanwhile_is_looked_at_again(store, series, volume, objects, bucket):
    refused = []

    def marked_by_another(environ):
        if environ["REQUEST_METHOD"] == "PUT" and "/committed/" in environ["PATH_INFO"]:
            assert environ["HTTP_IF_NONE_MATCH"] == "*"
            if not refused:
                refused.append(environ["PATH_INFO"])
                return 412
        return None

    with objects.faulty(marked_by_another):
        store.write(series, volume)

    assert len(refused) == 1
    assert store.series_uids() == ["1.2.3"]
    np.testing.assert_array_equal(store.read_hu("1.2.3"), volume.hu)


def test_the_list_of_series_is_a_page_of_markers(store, series, volume, objects):
    for number in range(5):
        store.write(replace(series, series_instance_uid=f"1.{number}"), volume)
    objects.requests.clear()

    assert len(store.series_uids()) == 5

    assert objects.requests == ["GET /bucket"]


def test_a_group_without_its_marker_is_not_there(store, series, volume, bucket):
    store.write_features("1.2.3", "compact-1", FEATURES, store.write(series, volume))

    bucket.delete("deep/store/committed/1.2.3")

    assert store.series_uids() == []
    assert not store.is_current(series)
    assert store.read_features("1.2.3", "compact-1") is None
    for read in (store.record, store.read_hu):
        with pytest.raises(StoreError, match="must be preprocessed"):
            read("1.2.3")


def test_a_group_without_its_marker_is_completed_by_the_next_writer(store, series, volume, bucket):
    store.write(series, volume)
    bucket.delete("deep/store/committed/1.2.3")

    store.write(series, volume)

    assert store.is_current(series)


@pytest.mark.parametrize("gone", ["0/c/0/0/0/0", "0/zarr.json", "zarr.json"])
def test_a_volume_whose_objects_are_gone_is_not_read_as_air(store, series, volume, bucket, gone):
    store.write(series, volume)
    bucket.delete(f"deep/store/series/1.2.3/{gone}")

    with pytest.raises(StoreError, match="must be preprocessed"):
        store.read_hu("1.2.3")


def test_features_whose_chunk_is_gone_are_none(store, series, volume, bucket):
    store.write_features("1.2.3", "compact-1", FEATURES, store.write(series, volume))
    bucket.delete("deep/store/series/1.2.3/features/compact-1/c/0/0")

    assert store.read_features("1.2.3", "compact-1") is None


def test_a_prefix_with_other_objects_does_not_become_a_store(objects, bucket):
    bucket.put("deep/store/thesis.txt", b"thesis")

    with pytest.raises(StoreError, match="got other objects; choose another store"):
        VolumeStore(URL, SMALL, access=objects.access)

    assert [found["path"] for found in bucket.list().collect()] == ["deep/store/thesis.txt"]


def test_of_two_first_runs_one_makes_the_store(objects):
    stores = []
    runs = [
        threading.Thread(target=lambda: stores.append(VolumeStore(URL, SMALL, access=objects.access))) for _ in range(4)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()

    assert len(stores) == 4


def test_a_whole_bucket_may_be_a_store(objects, series, volume):
    store = VolumeStore("s3://bucket", SMALL, access=objects.access)

    store.write(series, volume)

    assert store.series_uids() == ["1.2.3"]
    np.testing.assert_array_equal(store.read_hu("1.2.3"), volume.hu)


def test_a_bucket_that_is_not_there_is_named(objects):
    with pytest.raises(ResourceError, match="store s3://nowhere/x: the bucket must be there"):
        VolumeStore("s3://nowhere/x", SMALL, access=objects.access)


def test_storage_that_fails_now_and_then_costs_no_commit(store, series, volume, objects):
    with objects.faulty(every(3, 503)):
        digest = store.write(series, volume)
        store.write_features("1.2.3", "compact-1", FEATURES, digest)

        np.testing.assert_array_equal(store.read_hu("1.2.3", slice(5, 10)), volume.hu[:, 5:10])
        np.testing.assert_array_equal(store.read_features("1.2.3", "compact-1"), FEATURES)


@pytest.mark.parametrize("method", ["PUT", "GET", "HEAD"])
def test_storage_that_stays_away_is_one_sentence_and_nothing_is_visible(store, series, volume, objects, method):
    away = pytest.raises(ResourceError, match=f"^store {URL}: the storage must answer, got status 503; check")
    with objects.faulty(every(1, 503, method)), away:
        store.write(series, volume)

    assert store.series_uids() == []
    with pytest.raises(StoreError, match="must be preprocessed"):
        store.read_hu("1.2.3")


def test_storage_that_goes_away_between_arrays_and_marker_leaves_the_store_without_the_series(
    store, series, volume, objects
):
    def no_marker(environ):
        return 503 if "/committed/" in environ["PATH_INFO"] and environ["REQUEST_METHOD"] == "PUT" else None

    with objects.faulty(no_marker), pytest.raises(ResourceError):
        store.write(series, volume)
    hidden = store.series_uids(), store.is_current(series)
    store.write(series, volume)

    assert hidden == ([], False)
    np.testing.assert_array_equal(store.read_hu("1.2.3"), volume.hu)


def test_a_writer_whose_objects_another_one_replaced_starts_again(store, series, volume, objects, bucket):
    other = bytes(1)
    replaced = []

    def intrude(environ):
        if environ["PATH_INFO"].endswith("1.2.3/zarr.json") and environ["REQUEST_METHOD"] == "PUT" and not replaced:
            replaced.append(True)
            bucket.put("deep/store/series/1.2.3/0/c/0/0/0/0", other)

    with objects.faulty(intrude):
        store.write(series, volume)

    np.testing.assert_array_equal(store.read_hu("1.2.3"), volume.hu)


def test_a_writer_that_others_never_let_finish_gives_up_in_one_sentence(
    store, series, volume, objects, bucket, monkeypatch
):
    monkeypatch.setattr(buckets, "ATTEMPTS", 2)

    def intrude(environ):
        if environ["PATH_INFO"].endswith("1.2.3/zarr.json") and environ["REQUEST_METHOD"] == "PUT":
            bucket.put("deep/store/series/1.2.3/0/c/0/0/0/0", b"other")

    with objects.faulty(intrude), pytest.raises(ResourceError, match="one writer at a time, got others each of 2"):
        store.write(series, volume)

    assert store.series_uids() == []
