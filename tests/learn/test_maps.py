"""Slices whose activation maps stay in the store."""

import numpy as np
import pandas as pd
import pytest

from lidcflow.learn.fitting import prefetch
from lidcflow.learn.maps import StoredMaps

SLICES, SERIES = 6, 5
SLICE_BYTES = 2 * 2 * 1 * 2


def number_of(uid, place):
    return 10 * int(uid) + place


class Store:
    """Maps that hold the number of their slice, and a note of each read."""

    def __init__(self, sign=1):
        self.sign = sign
        self.reads = []

    def __call__(self, uid, slices):
        self.reads.append((uid, slices))
        numbers = self.sign * np.array([number_of(uid, place) for place in slices], np.float16)
        return np.broadcast_to(numbers[:, None, None, None], (len(slices), 2, 2, 1))


@pytest.fixture
def rows():
    """Slices 2, 3 and 5 of five series."""
    return pd.DataFrame(
        [{"series_instance_uid": f"{uid}", "slice": k, "label": k % 3} for uid in range(1, 6) for k in (2, 3, 5)]
    )


def mean(maps, training):
    return maps.mean(axis=(1, 2))


def test_outputs_come_in_the_order_of_the_rows(rows):
    mixed = rows.sample(frac=1, random_state=0)

    outputs = StoredMaps(mixed, Store()).outputs(mean)

    expected = [number_of(uid, k - 1) for uid, k in zip(mixed["series_instance_uid"], mixed["slice"], strict=True)]
    assert outputs[:, 0].tolist() == expected


def test_batches_hold_every_slice_once_beside_its_row(rows):
    maps = StoredMaps(rows, Store())

    batches = list(maps.batches(5, np.random.default_rng(0)))

    assert [len(places) for _, places in batches] == [5, 5, 5]
    assert sorted(np.concatenate([places for _, places in batches])) == list(range(15))
    for images, places in batches:
        expected = [number_of(rows["series_instance_uid"][i], rows["slice"][i] - 1) for i in places]
        assert images[:, 0, 0, 0].tolist() == expected


def test_no_more_is_read_than_a_pool_holds_before_the_first_batch(rows):
    store = Store()
    maps = StoredMaps(rows, store, pool_bytes=2 * 3 * SLICE_BYTES)

    next(maps.batches(2, np.random.default_rng(0)))

    assert [slices for _, slices in store.reads] == [range(1), range(1, 5), range(1, 5)]


def test_what_a_pool_leaves_goes_into_the_next_one_and_what_is_left_in_the_end_waits(rows):
    maps = StoredMaps(rows, Store(), pool_bytes=2 * 3 * SLICE_BYTES)

    batches = [places for _, places in maps.batches(4, np.random.default_rng(0))]

    assert [len(places) for places in batches] == [4, 4, 4]
    assert len(set(np.concatenate(batches).tolist())) == 12


def test_few_slices_make_one_smaller_batch(rows):
    batches = list(StoredMaps(rows[:3], Store()).batches(32, np.random.default_rng(0)))

    assert [len(places) for _, places in batches] == [3]


def test_batches_are_of_slices_and_their_views_but_outputs_of_the_slices_alone(rows):
    view = Store(sign=-1)
    maps = StoredMaps(rows, Store(), (view,))

    drawn = np.concatenate([images for images, _ in maps.batches(5, np.random.default_rng(1))])

    assert (drawn < 0).any()
    assert (drawn > 0).any()
    view.reads.clear()
    assert (maps.outputs(mean) > 0).all()
    assert view.reads == []


def test_one_batch_is_made_in_advance():
    made = []

    def batches():
        for number in range(5):
            made.append(number)
            yield number

    taken = prefetch(batches())

    assert next(taken) == 0
    assert next(taken) == 1
    assert len(made) <= 4
    assert list(taken) == [2, 3, 4]
