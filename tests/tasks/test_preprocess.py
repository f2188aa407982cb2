import pytest
from prefect import flow
from prefect.utilities.annotations import quote

from lidcflow.config import ClusterConfig, Config, PreprocessConfig
from lidcflow.errors import ResourceError, SeriesRefused, StoreMismatch
from lidcflow.privacy import PUBLIC_KEY
from lidcflow.series.find import index_folder
from lidcflow.store.address import training_store
from lidcflow.store.volumes import VolumeStore
from tasks.cluster import connect
from tasks.cluster.open import open_cluster
from tasks.preprocess import drain, preprocess_batch, preprocessing
from tasks.preprocessed import Preprocessed

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


def one_by_one(outcomes):
    return iter([[pair] for pair in outcomes])


def test_a_series_whose_files_went_away_is_set_aside_and_its_neighbour_is_not(two_series, store, config, tmp_path):
    gone, kept = two_series
    for source in gone.slices[:3]:
        (tmp_path / source.path).unlink()
    done = Preprocessed()

    with open_cluster(config.cluster, "preprocess") as opened:
        finished = preprocessing(two_series, opened.address, training_store(config), config.cluster)
        preprocess_batch.fn(finished, 1, 2, done.add)

    assert list(done.committed) == [kept.series_instance_uid]
    assert done.refused[gone.series_instance_uid].reason == "unreadable"
    assert store.series_uids() == [kept.series_instance_uid]


def test_a_file_that_changed_since_the_index_is_refused(two_series, store, config, tmp_path):
    changed, kept = two_series
    file = tmp_path / changed.slices[3].path
    file.write_bytes(file.read_bytes()[:-200])
    done = Preprocessed()

    with open_cluster(config.cluster, "preprocess") as opened:
        finished = preprocessing(two_series, opened.address, training_store(config), config.cluster)
        preprocess_batch.fn(finished, 1, 2, done.add)

    assert list(done.committed) == store.series_uids() == [kept.series_instance_uid]
    assert "must stay as it was indexed" in done.refused[changed.series_instance_uid].sentence


def test_an_unexpected_error_is_told_by_type_without_its_message(two_series):
    uid = two_series[0].series_instance_uid
    done = Preprocessed()

    drain([[(two_series[0], OSError("/archive/Lovelace^Ada/1.dcm"))]], done.add)

    assert done.refused[uid].reason == "failed"
    assert "OSError" in done.refused[uid].sentence
    assert "Lovelace" not in done.refused[uid].sentence


def test_an_error_of_the_store_stops_the_batch_once_what_was_finished_beside_it_is_recorded(two_series):
    done = Preprocessed()

    with pytest.raises(StoreMismatch):
        drain([[(two_series[0], StoreMismatch("store: another configuration")), (two_series[1], "d" * 64)]], done.add)

    assert list(done.committed) == [two_series[1].series_instance_uid]


def test_a_batch_ends_with_its_last_series_and_leaves_the_next_ones_alone(two_series):
    finished = one_by_one([(two_series[0], "d" * 64), (two_series[1], SeriesRefused("truncated", "cut"))])
    first, rest = Preprocessed(), Preprocessed()

    drain(finished, first.add, enough=1)
    drain(finished, rest.add)

    assert (first.answered, list(rest.refused)) == (1, [two_series[1].series_instance_uid])


def test_a_scheduler_that_is_not_there_is_one_error_and_not_a_refusal_of_each_series(two_series, config, monkeypatch):
    monkeypatch.setattr(connect, "SCHEDULER_WITHIN_S", 0.5)
    finished = preprocessing(two_series, "tcp://127.0.0.1:9", training_store(config), config.cluster)

    with pytest.raises(ResourceError, match="must be running"):
        flow(lambda: preprocess_batch(quote(finished), 1, 2, print), name="batch")()
