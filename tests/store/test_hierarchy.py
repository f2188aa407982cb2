"""A store is one Zarr hierarchy from its root, in a folder and in a bucket, also one of version 0.1."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import zarr
from zarr.storage import LocalStore, ObjectStore, StorePath

from lidcflow.config import PreprocessConfig
from lidcflow.store.volumes import VolumeStore
from tests.store.examples import SMALL, URL


@pytest.fixture
def opened(bucket):
    """Return a function that opens the root of a store as other software does."""

    def opened(store):
        prefix = URL.removeprefix("s3://bucket/")
        of_bucket = store.root == URL
        place = StorePath(ObjectStore(bucket), prefix) if of_bucket else StorePath(LocalStore(store.root))
        return zarr.open_group(place, mode="r")

    return opened


@pytest.fixture
def remove_groups(bucket):
    """Return a function that takes away what version 0.1 did not write."""

    def remove(store):
        for key in ("zarr.json", "series/zarr.json"):
            if store.root == URL:
                bucket.delete(f"{URL.removeprefix('s3://bucket/')}/{key}")
            else:
                (Path(store.root) / key).unlink()

    return remove


def listed(group):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of lidcflow.json, which is no part of the hierarchy
        return {name: type(found).__name__ for name, found in group.members(max_depth=None)}


def test_the_root_leads_to_every_array(store, series, volume, opened):
    store.write(series, volume)
    root = opened(store)

    assert listed(root) == {
        "series": "Group",
        "series/1.2.3": "Group",
        "series/1.2.3/0": "Array",
        "series/1.2.3/1": "Array",
        "series/1.2.3/features": "Group",
    }
    assert np.array_equal(root["series/1.2.3/0"][:], volume.hu)
    assert root["series/1.2.3"].attrs["lidcflow"]["series_instance_uid"] == "1.2.3"


def test_an_empty_store_shows_the_group_of_its_series(store, opened):
    assert listed(opened(store)) == {"series": "Group"}


def test_an_older_store_is_completed_when_it_is_opened_to_be_written(
    store, series, volume, opened, remove_groups, contents, objects
):
    store.write(series, volume)
    before = contents(store)
    remove_groups(store)

    VolumeStore(store.root, SMALL, create=False, access=objects.access)
    with pytest.raises(FileNotFoundError):
        opened(store)
    VolumeStore(store.root, SMALL, create=True, access=objects.access)

    assert contents(store) == before


def test_an_older_store_that_may_only_be_read_still_opens(folder_store, series, volume, monkeypatch, remove_groups):
    folder_store.write(series, volume)
    remove_groups(folder_store)

    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr("lidcflow.store.folders.write_new", refuse)
    again = VolumeStore(folder_store.root, PreprocessConfig(**SMALL.model_dump()))

    assert again.series_uids() == ["1.2.3"]


def test_the_group_of_the_series_is_no_stranger_to_repair(store):
    assert store.sweep().unknown == 0
