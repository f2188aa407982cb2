"""The event for enough new labelled series."""

from dataclasses import replace

import numpy as np
import pytest

from lidcflow.config import Config, PreprocessConfig
from lidcflow.labels.lidc import lidc_scans, nodules_of
from lidcflow.store.volumes import VolumeStore
from tasks import labels
from tasks.labels import LABELLED, announce_labelled
from tests.labelled_volumes import annotated_series, volume_of


@pytest.fixture
def told(monkeypatch):
    """Return the events that are sent; every stored series counts as labelled."""
    events = []
    monkeypatch.setattr(labels, "emit_event", lambda event, **facts: events.append((event, facts["payload"])))
    monkeypatch.setattr(labels, "_labelled", lambda uids, _: len(uids))
    return events


def test_series_are_counted_over_several_runs_and_told_of_once_they_are_enough(tmp_path, told):
    config = Config(workspace=tmp_path, retrain={"new_series": 3})

    counts = [announce_labelled.fn(uids, config) for uids in (["1", "2"], [], ["3", "4"], ["5"])]

    assert counts == [2, 0, 0, 1]
    assert told == [(LABELLED, {"series": 4})]


def test_a_count_that_was_damaged_starts_again(tmp_path, told):
    (tmp_path / labels.FILE).write_text("many\n")

    assert announce_labelled.fn(["1"], Config(workspace=tmp_path)) == 1


def test_readings_decide_what_counts(tmp_path, prefect_server):
    config = Config(workspace=tmp_path, preprocess=PreprocessConfig(slices=8, size=32))
    store = VolumeStore.of(config, create=True)
    read, unread = next(scan for scan in lidc_scans() if nodules_of(scan)), "1.2.3"
    series = annotated_series(read)
    for one in (series, replace(series, series_instance_uid=unread)):
        store.write(one, volume_of(read, np.random.default_rng(0)))

    assert announce_labelled.fn([series.series_instance_uid, unread], config) == 1
