"""Several writers, readers beside them, writers that die, disks that fill up."""

import multiprocessing
import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lidcflow.errors import ResourceError, StoreError
from lidcflow.store import buckets
from lidcflow.store.volumes import VolumeStore
from tests.store.examples import SMALL

SPAWN = multiprocessing.get_context("spawn")
LAST = 4


def write_often(root, series, volume, access):
    store = VolumeStore(root, SMALL, access=access)
    for number in range(LAST + 1):
        store.write(replace(series, fingerprint=str(number)), replace(volume, hu=volume.hu + np.int16(number)))


def test_a_reader_beside_two_writers_sees_whole_volumes_only(store, series, volume, objects):
    writers = [SPAWN.Process(target=write_often, args=(store.root, series, volume, objects.access)) for _ in range(2)]
    for writer in writers:
        writer.start()

    seen = set()
    while any(writer.is_alive() for writer in writers):
        try:
            seen.add(shift_of(store, volume, slice(None)))
            seen.add(shift_of(store, volume, slice(5, 10)))
        except StoreError:
            continue

    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert shift_of(store, volume, slice(None)) == LAST
    assert store.record("1.2.3").fingerprint == str(LAST)
    assert len(seen) > 0


def shift_of(store, volume, slices):
    (shift,) = np.unique(store.read_hu("1.2.3", slices) - volume.hu[:, slices])
    return int(shift)


def write_and_be_killed(root, series, volume, access):
    """Write until everything but the last step is done, then die."""
    dead = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # noqa: E731
    from lidcflow.store import commit

    commit._replace = dead
    buckets.BucketPlace._is_all_there = dead
    VolumeStore(root, SMALL, access=access).write(series, volume)


def test_a_writer_killed_before_the_last_step_leaves_nothing_in_sight_and_is_swept(
    store, series, volume, objects, monkeypatch
):
    writer = SPAWN.Process(target=write_and_be_killed, args=(store.root, series, volume, objects.access))
    writer.start()
    writer.join()
    monkeypatch.setattr(buckets, "ABANDONED_AFTER", -buckets.ABANDONED_AFTER)

    assert writer.exitcode == -signal.SIGKILL
    assert store.series_uids() == []
    with pytest.raises(StoreError, match="must be preprocessed"):
        store.read_hu("1.2.3")
    assert (store.sweep().removed, store.sweep().removed) == (1, 0)


def test_what_was_written_within_the_hour_may_have_a_living_writer(bucket_store, series, volume, objects):
    writer = SPAWN.Process(target=write_and_be_killed, args=(bucket_store.root, series, volume, objects.access))
    writer.start()
    writer.join()

    swept = bucket_store.sweep()

    assert (swept.removed, swept.in_work) == (0, 1)


@pytest.fixture
def small_disk(tmp_path):
    """Yield a disk of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if subprocess.run(mounting, capture_output=True).returncode:
        pytest.skip("a small disk can't be mounted here: that needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_up_amid_a_commit_is_named_and_keeps_what_it_had(small_disk, series, volume, monkeypatch):
    monkeypatch.setattr("lidcflow.store.commit.RESERVE_BYTES", -(2**30))
    store = VolumeStore(small_disk / "store", SMALL)
    store.write(series, volume)
    (small_disk / "ballast").write_bytes(bytes(small_disk_free(small_disk) - 16_384))

    with pytest.raises(ResourceError, match=f"^store {store.root}: the disk must have room, got none; free some space"):
        store.write(replace(series, series_instance_uid="1.2.4"), volume)

    assert store.series_uids() == ["1.2.3"]
    assert list((Path(store.root) / ".incoming").iterdir()) == []
    np.testing.assert_array_equal(store.read_hu("1.2.3"), volume.hu)


def small_disk_free(folder):
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def test_a_full_disk_does_not_become_a_store_and_is_named(small_disk):
    (small_disk / ".ballast").write_bytes(bytes(small_disk_free(small_disk)))

    with pytest.raises(ResourceError, match="the disk must have room"):
        VolumeStore(small_disk, SMALL)

    assert [path.name for path in small_disk.iterdir()] == [".ballast"]
