"""A process that waits for series has loaded what they need."""

import subprocess
import sys

from lidcflow.config import Config
from tasks import sector_scores
from tasks.cluster.connect import run_on_workers
from tasks.cluster.open import open_cluster
from tasks.warm_up import warm_up

LOADED = """
import sys
from pathlib import Path
from lidcflow.config import Config
from tasks.warm_up import warm_up
warm_up(Config(workspace=Path(sys.argv[1])))
print([name for name in ("tasks.infer", "tasks.candidates", "tensorflow", "mlflow") if name in sys.modules])
"""


def test_without_a_trained_release_neither_keras_nor_mlflow_is_loaded(tmp_path):
    command = [sys.executable, "-c", LOADED, str(tmp_path)]

    loaded = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)

    assert loaded.stdout == "['tasks.infer', 'tasks.candidates']\n"


def test_a_trained_release_is_loaded_as_the_first_series_would(monkeypatch, tmp_path):
    asked = []
    release = type("Release", (), {"sectors": ("one",)})()
    monkeypatch.setattr("tasks.warm_up.release_in_force", lambda _: release)
    monkeypatch.setattr("tasks.warm_up.config_for", lambda *_: "its configuration")
    monkeypatch.setattr(sector_scores, "load_release_models", lambda *arguments: asked.append(arguments))

    warm_up(Config(workspace=tmp_path))

    assert asked == [(release, "its configuration")]


def test_every_worker_is_warmed_up_and_an_error_there_ends_nothing(caplog):
    with open_cluster(Config().cluster.model_copy(update={"workers": 1}), "read") as cluster:
        run_on_workers(cluster.address, warm_up, "no configuration")

    assert [record.levelname for record in caplog.records if "AttributeError" in record.message] == ["WARNING"]
