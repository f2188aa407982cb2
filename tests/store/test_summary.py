"""What is read of many volumes: in short, a few ahead, and not one by one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lidcflow.errors import StoreError
from lidcflow.store import volume_facts
from lidcflow.store.summary import VolumeSummary
from tests.store.examples import FEATURES

UIDS = [f"1.2.{number}" for number in range(3, 8)]


@pytest.fixture
def filled(store, series, volume):
    for uid in UIDS:
        store.write(replace(series, series_instance_uid=uid), volume)
    return store


def test_a_summary_says_what_the_record_says(filled):
    record, summary = filled.record("1.2.3"), filled.summary("1.2.3")

    for name in VolumeSummary.__slots__:
        np.testing.assert_equal(getattr(summary, name), getattr(record, name))


def test_volumes_are_looked_up_in_order_and_absent_ones_are_none(filled):
    asked = ["1.2.7", "9.9", "1.2.3"]

    found = dict(filled.look_up(asked))

    assert list(found) == asked
    assert [None if one is None else one.series_instance_uid for one in found.values()] == ["1.2.7", None, "1.2.3"]


def test_a_summary_that_is_not_there_is_one_sentence(filled):
    with pytest.raises(StoreError, match=r"series 9\.9 must be preprocessed"):
        list(filled.summaries(["1.2.3", "9.9"]))


def test_many_volumes_are_listed_once_and_their_markers_not_asked_for(
    bucket_store, series, volume, objects, monkeypatch
):
    monkeypatch.setattr(volume_facts, "LISTED_FROM", len(UIDS))
    for uid in UIDS:
        bucket_store.write(replace(series, series_instance_uid=uid), volume)
    objects.requests.clear()

    found = [uid for uid, summary in bucket_store.look_up([*UIDS, "9.9"]) if summary]

    asked = [request.partition(" ")[0] for request in objects.requests]
    assert found == UIDS
    assert (asked.count("HEAD"), len(asked)) == (0, 1 + len(UIDS))


def test_a_description_that_was_cut_short_is_of_no_volume(folder_store, series, volume):
    folder_store.write(series, volume)
    file = Path(folder_store.root) / "series" / "1.2.3" / "zarr.json"
    file.write_bytes(file.read_bytes()[:-40])

    assert dict(folder_store.look_up(["1.2.3"])) == {"1.2.3": None}
    assert not folder_store.is_current(series)


def test_features_of_many_series_come_in_order_with_none_where_there_are_none(filled):
    digest = filled.summary("1.2.5").volume_digest
    filled.write_features("1.2.5", "compact-1", FEATURES, digest)

    found = list(filled.each_features(["1.2.4", "1.2.5"], "compact-1", slice(2, 4)))

    assert found[0] is None
    np.testing.assert_array_equal(found[1], FEATURES[2:4])
