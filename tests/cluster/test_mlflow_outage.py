"""A training whose MLflow server is killed, or away from the start: work is kept, and logged when it is back."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from lidcflow.config.file import load_config
from lidcflow.files import digest_of_folder
from lidcflow.store.volumes import VolumeStore
from tasks.tracking import registry
from tasks.tracking.connection import Tracking, connect
from tests.labelled_volumes import annotated_series, scans_with_nodules, volume_of

pytestmark = pytest.mark.faults

LIDCFLOW = Path(sys.executable).with_name("lidcflow")
START_LIMIT_S, TRAIN_LIMIT_S = 180, 480
PATIENTS, SECTORS = 16, 4
MARK = 123.0
DIGEST = "sha256"
"""File of a kept sector that holds the digest of its other files."""

SETTINGS = """
workspace = "{folder}/workspace"
patient_key = "public"
[preprocess]
slices = 8
size = 32
[split]
validation = 0.3
test = 0.2
[train]
sector_num = {sectors}
epochs = 10
[cluster]
workers = 1
[tracking]
uri = "http://127.0.0.1:{port}"
wait_s = {wait_s}
"""


class Server:
    """An MLflow server on SQLite that can be killed and started again."""

    def __init__(self, folder):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.folder = folder
        self.process = None

    def start(self):
        options = ["--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db", "--port", str(self.port)]
        options += ["--artifacts-destination", str(self.folder / "artifacts"), "--host", "127.0.0.1", "--workers", "1"]
        self.process = subprocess.Popen(
            [LIDCFLOW.with_name("mlflow"), "server", *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_for(self.answers, START_LIMIT_S)

    def answers(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=2):
                return True
        except OSError:
            return False

    def kill(self):
        if self.process:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


def wait_for(claim, limit_s):
    """Wait until a claim holds."""
    deadline = time.monotonic() + limit_s
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path)
    yield server
    server.kill()


@pytest.fixture
def settings(server, tmp_path):
    """Return a configuration with a store of volumes to train on."""
    file = tmp_path / "lidcflow.toml"
    file.write_text(SETTINGS.format(folder=tmp_path, port=server.port, sectors=SECTORS, wait_s=1))
    store, rng = VolumeStore.of(load_config(file), create=True), np.random.default_rng(0)
    for scan in scans_with_nodules(PATIENTS):
        store.write(annotated_series(scan), volume_of(scan, rng))
    return file


@pytest.fixture
def training(settings):
    """Yield a starter of `lidcflow train` whose processes are gone at the end."""
    started = []

    def train():
        command = [LIDCFLOW, "train", "--json", "--config", settings]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen(command, text=True, start_new_session=True, **pipes))
        return started[-1]

    yield train
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def kept_models(settings):
    return sorted((load_config(settings).workspace / "trainings").glob("*/*/model.keras"))


def mark(settings):
    """Leave a mark in the curves of what is kept, that a sector trained again would not have."""
    for model in kept_models(settings):
        facts = json.loads(model.with_name("sector.json").read_text())
        facts["history"]["loss"][-1] = MARK
        model.with_name("sector.json").write_text(json.dumps(facts))
        model.with_name(DIGEST).write_text(digest_of_folder(model.parent, without=(DIGEST,)))


def assert_complete(settings, report):
    """Check that there is one release, with one version of every sector model in it."""
    tracking = Tracking.of(load_config(settings))
    client, record = connect(tracking), registry.load_release(tracking, "1")
    names = [model.name for model in client.search_registered_models()]
    assert (report["reused"], report["release"]["version"]) == (False, 1)
    assert {pin.model_name for pin in record.sectors} <= set(names)
    assert {name: len(client.search_model_versions(f"name='{name}'")) for name in names} == dict.fromkeys(names, 1)
    assert client.get_run(registry.training_of(tracking, 1)).info.status == "FINISHED"
    assert not list((load_config(settings).workspace / "trainings").iterdir())


def losses(settings):
    """Return the last training loss that was logged of every sector model."""
    tracking = Tracking.of(load_config(settings))
    client = connect(tracking)
    runs = [client.get_run(version.run_id) for version in client.search_model_versions("name LIKE '%.sector-%'")]
    return [run.data.metrics["loss/training"] for run in runs]


def test_a_server_that_dies_while_sectors_are_trained_costs_no_work(server, settings, training):
    server.start()
    first = training()
    wait_for(lambda: kept_models(settings) or first.poll() is not None, TRAIN_LIMIT_S)
    server.kill()

    _, said = first.communicate(timeout=TRAIN_LIMIT_S)
    kept = kept_models(settings)
    mark(settings)
    server.start()
    again = training()
    report, _ = again.communicate(timeout=TRAIN_LIMIT_S)

    assert (first.returncode, again.returncode) == (1, 0)
    assert "the MLflow server must answer" in said
    assert f"{len(kept)} trained models are kept in trainings/" in said
    assert len(kept) > 1
    assert_complete(settings, json.loads(report))
    assert losses(settings).count(MARK) >= len(kept) - 1


def test_a_server_that_is_away_from_the_start_keeps_nobody_from_training(server, settings, training):
    first = training()

    _, said = first.communicate(timeout=TRAIN_LIMIT_S)
    kept = kept_models(settings)
    mark(settings)
    server.start()
    again = training()
    report, _ = again.communicate(timeout=TRAIN_LIMIT_S)

    assert (first.returncode, again.returncode) == (1, 0)
    assert f"{len(kept)} trained models are kept in trainings/" in said
    assert_complete(settings, json.loads(report))
    assert losses(settings) == [MARK] * len(kept)
