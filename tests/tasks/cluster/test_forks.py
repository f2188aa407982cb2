"""Workers of a training are forks of one process that has imported what they need, in the environment of the flow."""

import os
import sys
from pathlib import Path

import psutil
import pytest
from dask.system import CPU_COUNT

from lidcflow.config import ClusterConfig
from tasks.cluster import forks
from tasks.cluster.connect import connected
from tasks.cluster.early_imports import TRAINERS
from tasks.cluster.open import open_cluster


def facts_of_worker(names):
    from prefect.settings import PREFECT_API_URL

    parent = psutil.Process(os.getppid())
    return {
        "missing": [name for name in TRAINERS if name not in sys.modules],
        "parent": " ".join(parent.cmdline()),
        "variables": {name: os.environ.get(name) for name in names},
        "api": PREFECT_API_URL.value(),
        "process": os.getpid(),
        "tasks": sys.modules["tasks"].__file__,
    }


@pytest.fixture
def ask(monkeypatch, tmp_path):
    """Ask two workers that are started where the user has modules of the same names."""
    (tmp_path / "tasks.py").write_text("raise SystemExit('a module of the working folder was imported')")
    monkeypatch.chdir(tmp_path)

    def asked(*names):
        with open_cluster(ClusterConfig(workers=2), "train") as cluster, connected(cluster.address) as client:
            return list(client.run(facts_of_worker, names).values())

    return asked


def test_they_have_the_modules_and_the_variables_that_were_set_since(ask, monkeypatch):
    forks.begin()
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")

    threads = str(max(1, CPU_COUNT // 2))

    first, second = ask("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")

    assert first["process"] != second["process"]
    for facts in (first, second):
        assert facts["missing"] == []
        assert "multiprocessing.forkserver" in facts["parent"]
        assert facts["api"] == "http://127.0.0.1:9/api"
        assert facts["variables"] == {
            "OMP_NUM_THREADS": "1",
            "TF_NUM_INTRAOP_THREADS": threads,
        }
        assert Path(facts["tasks"]).parent == Path(forks.__file__).parents[1]
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_a_worker_that_is_killed_is_replaced_by_another_fork(ask):
    with open_cluster(ClusterConfig(workers=1), "train") as cluster, connected(cluster.address) as client:
        killed = client.submit(os.getpid).result()
        psutil.Process(killed).kill()

        assert client.submit(os.getpid, pure=False).result() != killed
        assert client.submit(facts_of_worker, (), pure=False).result()["missing"] == []


@pytest.mark.parametrize(
    ("gpus", "driver", "backend", "forked"),
    [
        (0, False, "tensorflow", True),
        (2, False, "tensorflow", False),
        (0, True, "tensorflow", False),
        (0, False, "jax", False),
    ],
)
def test_where_there_is_a_gpu_or_jax_they_are_spawned(tmp_path, monkeypatch, gpus, driver, backend, forked):
    monkeypatch.setattr(forks, "GPU_DRIVER", tmp_path if driver else tmp_path / "absent")
    monkeypatch.setenv("KERAS_BACKEND", backend)
    begun = []
    monkeypatch.setattr(forks, "begin", lambda: begun.append(True))

    forks.begin_training_workers(ClusterConfig(gpus=gpus))

    assert forks.can_fork(gpus) == bool(begun) == forked


def test_nothing_is_begun_for_a_training_elsewhere(monkeypatch):
    monkeypatch.setattr(forks, "begin", lambda: pytest.fail("it was begun"))

    forks.begin_training_workers(ClusterConfig(place="tcp://10.0.0.1:8786"))
