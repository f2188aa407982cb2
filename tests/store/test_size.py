import json
import multiprocessing
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lidcflow.store import size
from lidcflow.store.repair import repair_store
from lidcflow.store.size import COUNTER, UNDER_WAY, StoreSize
from lidcflow.store.volumes import VolumeStore
from tests.store.examples import FEATURES, SMALL


@pytest.fixture
def store(folder_store):
    return folder_store


def added_up(store):
    files = (path for path in Path(store.root).rglob("*") if path.is_file() and path.name != COUNTER)
    return sum(path.stat().st_size for path in files)


def counted(store):
    return StoreSize(Path(store.root)).size_bytes(len(store.series_uids()))


@pytest.fixture
def no_recount(monkeypatch):
    """Return a function after which nothing is added up any more."""

    def forbid():
        def fail(_self):
            raise AssertionError("the counter should have been enough")

        monkeypatch.setattr(StoreSize, "recount", fail)

    return forbid


def test_the_size_of_a_store_that_kept_no_counter_is_added_up_once_and_kept(store, series, volume, no_recount):
    store.write(series, volume)

    first = counted(store)
    no_recount()

    assert first == counted(store) == added_up(store)


def test_every_change_is_counted(store, series, volume, no_recount):
    counted(store)
    no_recount()

    store.write(series, volume)
    assert counted(store) == added_up(store)
    store.write_features("1.2.3", "one", FEATURES, store.summary("1.2.3").volume_digest)
    assert counted(store) == added_up(store)
    store.delete_features("1.2.3", "one")
    assert counted(store) == added_up(store)
    store._place.describe("1.2.3", store._place.facts("1.2.3") + b" " * 100)
    assert counted(store) == added_up(store)
    store.delete("1.2.3")
    assert counted(store) == added_up(store)
    store.delete("1.2.3")
    assert counted(store) == added_up(store)


def test_a_volume_in_place_of_another_one_takes_its_features_off_the_count(store, series, volume, no_recount):
    store.write(series, volume)
    store.write_features("1.2.3", "one", FEATURES, store.summary("1.2.3").volume_digest)
    counted(store)
    no_recount()

    store._place.commit_volume("1.2.3", {"zarr.json": b"{}"})

    assert counted(store) == added_up(store)


def test_a_writer_that_is_killed_in_the_middle_of_a_change_leaves_no_counter(store, series, volume):
    counted(store)
    process = multiprocessing.get_context("fork").Process(target=die_while_changing, args=(Path(store.root),))
    process.start()
    process.join()

    assert (Path(store.root) / COUNTER).read_text() == UNDER_WAY
    store.write(series, volume)
    assert counted(store) == added_up(store)


def die_while_changing(root):
    with StoreSize(root).changing(root / "series" / "1.2.4", 0):
        (root / "series" / "1.2.4").mkdir()
        os._exit(9)


def test_a_series_that_was_deleted_by_hand_is_noticed(store, series, volume):
    store.write(series, volume)
    counted(store)

    shutil.rmtree(Path(store.root) / "series" / "1.2.3")

    assert counted(store) == added_up(store)


def test_repair_counts_anew(store, series, volume):
    store.write(series, volume)
    counted(store)
    (Path(store.root) / COUNTER).write_text(json.dumps({"series": 1, "size_bytes": 7}))

    repair_store(store)

    assert counted(store) == added_up(store)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"series": 1}', '{"series": "x", "size_bytes": 1}', "\x00"])
def test_a_counter_that_is_none_is_counted_anew(store, series, volume, content):
    store.write(series, volume)
    (Path(store.root) / COUNTER).write_text(content)

    assert counted(store) == added_up(store)


def test_a_change_while_files_are_added_up_is_not_lost(store, series, volume, monkeypatch):
    add_up = size.tree_bytes

    def meanwhile(path):
        monkeypatch.setattr(size, "tree_bytes", add_up)
        found = add_up(path)
        store.write_features("1.2.3", "one", FEATURES, store.summary("1.2.3").volume_digest)
        return found

    store.write(series, volume)
    monkeypatch.setattr(size, "tree_bytes", meanwhile)
    StoreSize(Path(store.root)).recount()

    assert (Path(store.root) / COUNTER).read_text() == UNDER_WAY
    assert counted(store) == added_up(store)


def test_writers_side_by_side_lose_no_change(store, no_recount):
    counted(store)
    no_recount()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: store._place.commit_volume(f"1.2.{n}", {"zarr.json": b" " * n}), range(1, 60)))
        list(pool.map(lambda n: store.delete(f"1.2.{n}"), range(1, 30)))

    assert counted(store) == added_up(store)


def test_without_locks_the_store_is_added_up_each_time(store, series, volume, monkeypatch):
    counted(store)

    def refuse(_folder):
        raise OSError("no locks")

    monkeypatch.setattr("lidcflow.store.size.locked_folder", refuse)
    store.write(series, volume)

    assert counted(store) == added_up(store)
    assert (Path(store.root) / COUNTER).read_text() == UNDER_WAY


def test_a_store_that_was_never_counted_gets_no_counter_from_its_writers(store, series, volume):
    store.write(series, volume)

    assert not (Path(store.root) / COUNTER).exists()
    assert VolumeStore(store.root, SMALL).series_uids() == ["1.2.3"]
