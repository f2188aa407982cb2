import time

import pytest
from prefect import flow
from prefect.utilities.annotations import quote

from lidcflow.config import ClusterConfig, Config, PreprocessConfig
from lidcflow.ct.series import index_folder
from lidcflow.errors import ResourceError, SeriesRefused, StoreMismatch
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.store.volumes import VolumeStore
from tasks import cluster
from tasks.cluster import open_cluster
from tasks.preprocess import drain, preprocess_batch

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def config(tmp_path):
    return Config(workspace=tmp_path, preprocess=PreprocessConfig(slices=8, size=16), cluster=ClusterConfig(workers=1))


@pytest.fixture
def store(config):
    return VolumeStore.of(config, create=True)


@pytest.fixture
def two_series(tmp_path, ct_series):
    for name in ("a", "b"):
        ct_series(tmp_path / "source" / name)
    return index_folder(tmp_path / "source", secret=PUBLIC_KEY).usable


def test_a_series_whose_files_went_away_is_set_aside_and_its_neighbour_is_not(two_series, store, config, tmp_path):
    gone, kept = two_series
    for source in gone.slices[:3]:
        (tmp_path / source.path).unlink()

    with open_cluster(config.cluster, "preprocess") as opened:
        done = preprocess_batch.fn(two_series, opened.address, config)

    assert list(done.committed) == [kept.series_instance_uid]
    assert done.refused[gone.series_instance_uid].reason == "unreadable"
    assert store.series_uids() == [kept.series_instance_uid]


def test_an_unexpected_error_is_told_by_type_without_its_message(two_series):
    uid = two_series[0].series_instance_uid

    done = drain([(two_series[0], OSError("/archive/Lovelace^Ada/1.dcm"))])

    assert done.refused[uid].reason == "failed"
    assert "OSError" in done.refused[uid].sentence
    assert "Lovelace" not in done.refused[uid].sentence


def test_an_error_of_the_store_stops_the_batch(two_series):
    with pytest.raises(StoreMismatch):
        drain([(two_series[0], StoreMismatch("store: another configuration"))])


def test_each_finished_series_is_counted(two_series):
    counted = []

    drain([(two_series[0], "d" * 64), (two_series[1], SeriesRefused("truncated", "cut"))], lambda: counted.append(1))

    assert len(counted) == 2


def test_what_is_known_to_be_wrong_is_not_tried_again(two_series, config, monkeypatch):
    monkeypatch.setattr(cluster, "SCHEDULER_WITHIN_S", 0.5)
    started_s = time.monotonic()

    with pytest.raises(ResourceError, match="must be running"):
        flow(lambda: preprocess_batch(quote(two_series), "tcp://127.0.0.1:9", config), name="batch")()

    assert time.monotonic() - started_s < min(preprocess_batch.retry_delay_seconds)
