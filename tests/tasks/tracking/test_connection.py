"""The way to MLflow: an embedded database, a server that is away, an experiment that was deleted."""

import os
import re
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from mlflow.exceptions import MlflowException

from lidcflow.config import Config, TrackingConfig
from lidcflow.errors import ResourceError, TrackingUnavailable
from tasks.tracking.connection import (
    Tracking,
    connect,
    experiment_id,
    pages,
    tracking_connection,
)


def test_a_server_that_is_away_is_named_at_once():
    tracking = Tracking.of(Config(tracking=TrackingConfig(uri="http://127.0.0.1:9")))

    with pytest.raises(ResourceError, match=r"tracking http://127\.0\.0\.1:9: the MLflow server must answer"):
        connect(tracking)


def test_the_pages_worth_opening_are_those_of_model_training(tracking):
    assert all("workflowType=machine_learning" in page for page in pages("http://127.0.0.1:5000", tracking).values())


@pytest.mark.parametrize(
    ("uri", "own"), [(None, True), ("sqlite:///elsewhere.db", True), ("http://127.0.0.1:9", False)]
)
def test_artifacts_lie_in_the_workspace_unless_a_server_keeps_them(uri, own, tmp_path):
    tracking = Tracking.of(Config(workspace=tmp_path, tracking=TrackingConfig(uri=uri)))

    assert tracking.artifacts == ((tmp_path / "mlflow" / "artifacts").as_uri() if own else None)


def test_a_deleted_experiment_is_told_with_the_way_to_restore_it(tmp_path):
    tracking = Tracking.of(Config(workspace=tmp_path))
    identity = experiment_id(tracking)
    connect(tracking).delete_experiment(identity)

    with pytest.raises(ResourceError) as caught:
        experiment_id(tracking)

    assert "must be active, got one that was deleted" in str(caught.value)
    command = re.search(r"`MLFLOW_TRACKING_URI=(\S+) mlflow (.*?)`", str(caught.value))
    subprocess.run(
        [Path(sys.executable).with_name("mlflow"), *command[2].split()],
        env={**os.environ, "MLFLOW_TRACKING_URI": command[1]},
        check=True,
        capture_output=True,
    )
    assert experiment_id(tracking) == identity


@pytest.mark.parametrize("words", ["database or disk is full", "attempt to write a readonly database"])
def test_a_database_that_can_not_be_written_is_told_in_one_sentence(tmp_path, words):
    with (
        pytest.raises(ResourceError, match="its disk must have room and be writable"),
        tracking_connection(Tracking.of(Config(workspace=tmp_path))),
    ):
        raise MlflowException(f"(sqlite3.OperationalError) {words}\n[SQL: INSERT]")


@pytest.mark.parametrize(
    ("status", "kind"),
    [(500, TrackingUnavailable), (503, TrackingUnavailable), (404, ResourceError), (200, ResourceError)],
)
def test_a_server_that_is_no_mlflow_is_told_fast_and_in_one_line(status, kind):
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"<html>\nsomebody else")

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        uri = f"http://127.0.0.1:{server.server_port}"
        started_s = time.monotonic()
        with pytest.raises(kind) as caught:
            connect(Tracking.of(Config(tracking={"uri": uri})))
        server.shutdown()

    assert time.monotonic() - started_s < 30
    assert "\n" not in str(caught.value)
