from dataclasses import replace
from pathlib import Path

import pytest

from lidcflow.errors import ResourceError
from lidcflow.objects import bucket_of
from lidcflow.store.repair import repair_store
from tests.object_storage import every
from tests.store.examples import FEATURES, URL

VOXELS = "0/c/0/0/0/0"


@pytest.fixture
def two(store, series, volume):
    """Return a store with the series 1.2.3 and 1.2.4, the first one with features."""
    store.write_features("1.2.3", "compact-1", FEATURES, store.write(series, volume))
    store.write(replace(series, series_instance_uid="1.2.4"), volume)
    return store


@pytest.fixture
def overwrite(objects):
    """Return a function that spoils an object of a store; a function of its content makes the new one."""

    def write(store, key, change):
        if store.root == URL:
            bucket, path = bucket_of(URL, objects.access), f"deep/store/{key}"
            bucket.put(path, change(bytes(bucket.get(path).bytes())))
        else:
            (Path(store.root) / key).write_bytes(change((Path(store.root) / key).read_bytes()))

    return write


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def half(content):
    return content[: len(content) // 2]


def test_a_store_in_order_stays_as_it_is(two, contents):
    before = contents(two)

    found = repair_store(two, verify=True)

    assert [record.series_instance_uid for record in found.records] == ["1.2.3", "1.2.4"]
    assert (found.damaged, found.features_removed, found.swept.removed) == ((), 0, 0)
    assert contents(two) == before


@pytest.mark.parametrize("spoil", [flipped, half, lambda _: b""])
@pytest.mark.parametrize("part", [VOXELS, "1/c/0/0/0/0", "0/zarr.json", "zarr.json"])
def test_a_damaged_volume_is_found_and_removed_for_the_next_preprocessing(two, overwrite, part, spoil):
    overwrite(two, f"series/1.2.4/{part}", spoil if spoil is not flipped or "json" not in part else half)

    found = repair_store(two, verify=True)

    assert found.damaged == ("1.2.4",)
    assert two.series_uids() == ["1.2.3"]
    assert two.read_features("1.2.3", "compact-1") is not None


def test_without_verify_only_unreadable_facts_are_seen_and_nothing_is_removed(two, overwrite):
    overwrite(two, f"series/1.2.3/{VOXELS}", flipped)
    overwrite(two, "series/1.2.4/zarr.json", half)

    found = repair_store(two)

    assert found.damaged == ("1.2.4",)
    assert two.series_uids() == ["1.2.3", "1.2.4"]


def test_features_of_another_volume_or_that_cant_be_read_go(two, overwrite):
    two.write_features("1.2.3", "compact-2", FEATURES, "digest of another volume")
    two.write_features("1.2.4", "compact-1", FEATURES, two.record("1.2.4").volume_digest)
    overwrite(two, "series/1.2.4/features/compact-1/c/0/0", half)

    found = repair_store(two, verify=True)

    assert (found.features_removed, found.damaged) == (2, ())
    assert (two.feature_ids("1.2.3"), two.feature_ids("1.2.4")) == (["compact-1"], [])


def test_progress_is_told_for_every_volume(two):
    told = []

    repair_store(two, verify=True, on_volume=lambda done, total: told.append((done, total)))

    assert told == [(1, 2), (2, 2)]


def test_what_lidcflow_did_not_make_is_counted_and_left_alone(folder_store):
    thesis = Path(folder_store.root) / "series" / "thesis"
    thesis.mkdir(parents=True)
    (Path(folder_store.root) / ".incoming").mkdir()
    (Path(folder_store.root) / ".incoming" / "notes.txt").touch()

    found = repair_store(folder_store, verify=True)

    assert found.swept.unknown == 2
    assert thesis.is_dir()


def test_storage_that_does_not_answer_damages_nothing(bucket_store, series, volume, objects):
    bucket_store.write(series, volume)

    with objects.faulty(away_for("/0/c/")), pytest.raises(ResourceError, match="must answer"):
        repair_store(bucket_store, verify=True)

    assert bucket_store.series_uids() == ["1.2.3"]


def away_for(part):
    return lambda environ: 503 if part in environ["PATH_INFO"] else None


def test_storage_that_fails_now_and_then_damages_nothing(bucket_store, series, volume, objects):
    bucket_store.write(series, volume)

    with objects.faulty(every(3, 503)):
        found = repair_store(bucket_store, verify=True)

    assert found.damaged == ()
