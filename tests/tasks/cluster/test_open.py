import os
import signal
import time

import dask
import psutil
import pytest

from flows.environment import prepare
from lidcflow.config import ClusterConfig, Config
from lidcflow.errors import ResourceError, SeriesRefused
from tasks.cluster.open import map_series, open_cluster

OWN_PROCESS = "__import__('os').getpid()"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with open_cluster(ClusterConfig(workers=2), "preprocess", scratch=tmp_path_factory.mktemp("scratch")) as opened:
        yield opened


def test_each_item_comes_with_its_result_or_its_exception(cluster):
    outcomes = dict(map_series(cluster.address, eval, ["1 + 1", "1 / 0"]))

    assert outcomes["1 + 1"] == 2
    assert isinstance(outcomes["1 / 0"], ZeroDivisionError)


def test_the_backend_that_the_user_chose_reaches_the_workers(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    prepare(Config())

    with open_cluster(ClusterConfig(workers=1), "train") as cluster:
        assert dict(map_series(cluster.address, os.getenv, ["KERAS_BACKEND"])) == {"KERAS_BACKEND": "jax"}


def test_a_refused_series_keeps_its_reason_on_the_way_back(cluster):
    raising = (
        "(_ for _ in ()).throw(__import__('lidcflow.errors').errors.SeriesRefused('truncated', 'series 1.2: cut'))"
    )

    outcomes = dict(map_series(cluster.address, eval, [raising]))

    assert isinstance(outcomes[raising], SeriesRefused)
    assert (outcomes[raising].reason, str(outcomes[raising])) == ("truncated", "series 1.2: cut")


def test_no_more_items_than_the_window_are_taken_ahead(cluster):
    taken = []

    def items():
        for number in range(20):
            taken.append(number)
            yield str(number)

    outcomes = map_series(cluster.address, eval, items(), window=2)
    next(outcomes)

    assert len(taken) <= 2 * (2 * cluster.workers)
    assert len(list(outcomes)) == 19


def test_the_cluster_serves_the_next_caller_when_one_stops_early(cluster):
    abandoned = map_series(cluster.address, time.sleep, [0.0, *[0.1] * 8], window=1)
    next(abandoned)
    abandoned.close()

    assert dict(map_series(cluster.address, eval, ["2"])) == {"2": 2}


def test_a_series_whose_worker_was_killed_runs_again(cluster):
    workers = {process for _, process in map_series(cluster.address, eval, [OWN_PROCESS] * 8)}
    outcomes = map_series(cluster.address, time.sleep, [0.0, *[0.2] * 6])
    next(outcomes)

    os.kill(workers.pop(), signal.SIGKILL)

    assert [outcome for _, outcome in outcomes] == [None] * 6


def test_a_series_that_kills_each_worker_is_given_up_and_its_neighbours_are_not(cluster):
    harmless = [signal.SIGCONT] * 8

    outcomes = list(map_series(cluster.address, signal.raise_signal, [*harmless[:4], signal.SIGKILL, *harmless[4:]]))

    assert [outcome for item, outcome in outcomes if item == signal.SIGCONT] == [None] * 8
    (given_up,) = [outcome for item, outcome in outcomes if item == signal.SIGKILL]
    assert isinstance(given_up, SeriesRefused)
    assert given_up.reason == "quarantined"


def test_an_item_that_never_returns_ends_with_its_time_and_its_neighbours_are_done(cluster):
    holds_every_thread = "__import__('re').match('(a+)+$', 'a' * 60 + 'b')"

    outcomes = dict(map_series(cluster.address, eval, ["1", holds_every_thread, "2"], within_s=1.0))

    assert (outcomes["1"], outcomes["2"]) == (1, 2)
    assert outcomes[holds_every_thread].reason == "quarantined"
    assert "within 1 s" in outcomes[holds_every_thread].sentence


def test_an_item_that_outgrows_the_memory_limit_is_given_up_and_its_neighbours_are_done(tmp_path):
    config = ClusterConfig(workers=1, memory_limit="300MiB")
    too_much = "bytearray(600 << 20) and __import__('time').sleep(60)"

    with open_cluster(config, "preprocess", scratch=tmp_path) as small:
        outcomes = dict(map_series(small.address, eval, ["1", too_much, "2"]))

    assert (outcomes["1"], outcomes["2"]) == (1, 2)
    assert "cluster.memory_limit" in outcomes[too_much].sentence


def test_a_worker_that_keeps_most_of_its_memory_gets_more_work(tmp_path):
    config = ClusterConfig(workers=1, memory_limit="400MiB")
    kept = "__import__('builtins').__dict__.setdefault('kept', bytearray(250 << 20)) and 1"

    with open_cluster(config, "preprocess", scratch=tmp_path) as small:
        outcomes = list(map_series(small.address, eval, [kept, *["__import__('time').sleep(0.2)"] * 4]))

    assert [outcome for _, outcome in outcomes] == [1, *[None] * 4]


def test_numpy_has_one_thread_in_a_worker(cluster):
    threads = "__import__('os').environ['OPENBLAS_NUM_THREADS']"

    assert dict(map_series(cluster.address, eval, [threads])) == {threads: "1"}


def test_an_environment_that_asks_for_encryption_does_not_keep_a_local_cluster_from_starting():
    with (
        dask.config.set({"distributed.comm.require-encryption": True}),
        open_cluster(ClusterConfig(workers=1), "preprocess") as opened,
    ):
        assert list(map_series(opened.address, abs, [-1])) == [(-1, 1)]


def test_an_address_is_used_and_left_running(cluster):
    with open_cluster(ClusterConfig(place=cluster.address), "preprocess") as same:
        assert same.address == cluster.address

    assert dict(map_series(cluster.address, eval, ["3"])) == {"3": 3}


def test_a_scheduler_without_the_configured_gpu_is_refused(cluster):
    config = ClusterConfig(place=cluster.address, gpus=1)

    with pytest.raises(ResourceError, match="must offer the resource GPU"), open_cluster(config, "train"):
        pass


def test_each_training_worker_sees_a_gpu_of_its_own_and_none_is_left_running():
    device = "__import__('time').sleep(0.2) or __import__('os').environ['CUDA_VISIBLE_DEVICES']"
    before = set(psutil.Process().children(recursive=True))

    with open_cluster(ClusterConfig(gpus=2), "train") as gpus:
        seen = {outcome for _, outcome in map_series(gpus.address, eval, [device] * 6, window=1)}
        started = set(psutil.Process().children(recursive=True)) - before

    assert seen == {"0", "1"}
    assert started
    assert not [process for process in started if process.is_running() and "spawn_main" in "".join(process.cmdline())]
