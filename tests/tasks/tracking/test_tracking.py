"""MLflow in an embedded database: runs, versions, and which release is in force."""

import itertools
import json
import os
import re
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from matplotlib.figure import Figure
from mlflow.exceptions import MlflowException

from lidcflow.config import Config, TrackingConfig
from lidcflow.errors import ReleaseError, ResourceError, TrackingUnavailable
from lidcflow.release.record import Gate
from tasks.promote import promote, rollback
from tasks.tracking import registry
from tasks.tracking.connection import (
    Tracking,
    connect,
    experiment_id,
    is_there,
    pages,
    require_active_run,
    tracking_connection,
)
from tasks.tracking.model_files import FILE, digest_of_model
from tasks.tracking.runs import end_run, open_run, resume_run, run_of, start_run

NAMES = (f"releases-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture
def tracking(workspace):
    """One database for the module, another registered name for each test."""
    return Tracking.of(Config(workspace=workspace, tracking=TrackingConfig(registry_name=next(NAMES))))


@pytest.fixture
def publish(tracking, release_record):
    """Registers one more release and returns its record; its model is a file, for nobody loads it here."""
    name = f"{tracking.registry_name}.m"
    with open_run(tracking, "sector") as run:
        run.text("network", f"model/{FILE}")
        source = f"{run.client.get_run(run.run_id).info.artifact_uri}/model"
        registry.register_model(tracking, name, source=source, run_id=run.run_id)
    pinned = {"model_name": name, "version": 1, "sha256": digest_of_model(tracking, f"models:/{name}/1")}
    sectors = tuple(pin.model_copy(update=pinned) for pin in release_record.sectors)

    def register(*, complete=True, **changes):
        with open_run(tracking, "training") as run:
            source = registry.release_folder(tracking, run.run_id)
            version = registry.register_model(tracking, tracking.registry_name, source=source, run_id=run.run_id)
            facts = {"name": tracking.registry_name, "version": version, "sectors": sectors, **changes}
            record = release_record.model_copy(update=facts)
            if complete:
                registry.complete_release(tracking, record, run.run_id, "A sentence.")
        return record

    return register


def refused():
    return Gate(passed=False, reason="no better than the prior", compared_with="sector prior")


def test_a_run_keeps_figures_curves_and_data_below_its_parent(tracking, tmp_path):
    table = tmp_path / "rows.parquet"
    table.write_bytes(b"rows")

    with open_run(tracking, "training") as parent, open_run(tracking, "sector 1", parent_id=parent.run_id) as child:
        child.params({"head": "linear", "cap": None})
        child.series({"loss/training": {1: 0.5, 2: 0.25}})
        child.metrics({"auroc": 0.75, "undefined": None, "nan": float("nan")})
        child.figure(Figure(figsize=(1, 1)), "curves.png")
        child.dataset(table, name="snapshot", digest="ab" * 32, profile={"series": 3})

    run = connect(tracking).get_run(child.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlflow.parentRunId"] == parent.run_id
    assert run.data.params == {"head": "linear"}
    assert run.data.metrics == {"loss/training": 0.25, "auroc": 0.75}
    history = connect(tracking).get_metric_history(child.run_id, "loss/training")
    assert [(point.step, point.value) for point in history] == [(1, 0.5), (2, 0.25)]
    assert {item.path for item in connect(tracking).list_artifacts(child.run_id)} == {"curves.png", "snapshot"}
    dataset = run.inputs.dataset_inputs[0].dataset
    assert (dataset.digest, json.loads(dataset.profile)) == ("abababababab", {"series": 3})


def test_more_points_than_one_call_takes_are_all_kept(tracking):
    with open_run(tracking, "long") as run:
        run.series({"loss": {step: float(step) for step in range(1100)}})

    assert len(connect(tracking).get_metric_history(run.run_id, "loss")) == 1100


def test_a_run_that_breaks_is_marked_failed_with_its_error(tracking):
    with pytest.raises(ValueError, match="no slices"), open_run(tracking, "sector 2") as run:
        raise ValueError("no slices")

    broken = connect(tracking).get_run(run.run_id)
    assert (broken.info.status, broken.data.tags["error"]) == ("FAILED", "ValueError: no slices")


def test_a_release_is_found_by_version_by_alias_and_by_its_inputs(tracking, publish):
    record = publish(inputs_digest="a" * 64)
    registry.set_champion(tracking, record.version, "first")

    assert registry.load_release(tracking, "1") == record
    assert registry.load_release(tracking, "champion") == record
    assert registry.find_release(tracking, "a" * 64) == record
    assert registry.find_release(tracking, "b" * 64) is None


def test_an_incomplete_release_is_listed_but_never_loaded_or_reused(tracking, publish):
    publish(complete=False, inputs_digest="a" * 64)

    assert [listed.record for listed in registry.list_releases(tracking)] == [None]
    assert registry.find_release(tracking, "a" * 64) is None
    with pytest.raises(ReleaseError, match="must be complete, but its training was cut short"):
        promote(tracking, 1, force=True, reason="why not")


@pytest.mark.parametrize(
    ("reference", "way_out"),
    [("champion", "run `lidcflow train` first"), ("4", "run `lidcflow train` first")],
)
def test_without_any_release_the_way_out_is_to_train(tracking, reference, way_out):
    with pytest.raises(ReleaseError, match=way_out):
        registry.load_release(tracking, reference)


def test_a_release_that_is_not_there_or_not_in_force_is_told_apart(tracking, publish):
    publish()

    with pytest.raises(ReleaseError, match="must be a version or alias of the registry"):
        registry.load_release(tracking, "9")
    with pytest.raises(ReleaseError, match="must be a version or alias of the registry"):
        registry.load_release(tracking, "no such alias")
    with pytest.raises(ReleaseError, match="must have been promoted, got none that passed the gate"):
        registry.load_release(tracking, "champion")


def test_what_the_gate_refused_is_promoted_only_by_force_and_with_a_reason(tracking, publish):
    publish(gate=refused())

    for force, reason in [(False, ""), (False, "because"), (True, "")]:
        with pytest.raises(ReleaseError, match="no better than the prior; to put it in force all the same"):
            promote(tracking, 1, force=force, reason=reason)
    promote(tracking, 1, force=True, reason="a reader study")

    (listed,) = registry.list_releases(tracking)
    assert (listed.champion, listed.why_promoted) == (True, "forced: a reader study")


def test_rollback_goes_back_through_the_champions_that_were(tracking, publish):
    for _ in range(3):
        record = publish()
        promote(tracking, record.version, force=False, reason="")
    publish()

    assert rollback(tracking)[1].version == 2
    assert rollback(tracking)[1].version == 1
    with pytest.raises(
        ReleaseError, match="must have been in force before version 1 and have lost no data to an erasure, got none"
    ):
        rollback(tracking)
    assert registry.champion_version(tracking) == 1


def test_rollback_without_a_champion_is_refused(tracking, publish):
    publish()

    with pytest.raises(ReleaseError, match="a release must be in force, got none"):
        rollback(tracking)


def test_a_record_that_was_damaged_is_refused(tracking, publish):
    publish(preprocess_digest="0" * 64)

    with pytest.raises(ReleaseError, match="its volumes were made by another version of the preprocessing"):
        registry.load_release(tracking, "1")


def test_a_look_at_a_new_workspace_makes_no_database(tmp_path):
    tracking = Tracking.of(Config(workspace=tmp_path))

    assert not is_there(tracking)
    assert registry.list_releases(tracking) == []
    assert registry.champion_version(tracking) is None
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_away_is_named_at_once():
    tracking = Tracking.of(Config(tracking=TrackingConfig(uri="http://127.0.0.1:9")))

    with pytest.raises(ResourceError, match=r"tracking http://127\.0\.0\.1:9: the MLflow server must answer"):
        connect(tracking)


def test_the_pages_worth_opening_are_those_of_model_training(tracking):
    assert all("workflowType=machine_learning" in page for page in pages("http://127.0.0.1:5000", tracking).values())


def test_a_version_that_a_cut_short_attempt_registered_is_found_again(tracking):
    with open_run(tracking, "training") as run, open_run(tracking, "training") as other:
        source = registry.release_folder(tracking, run.run_id)
        versions = [
            registry.register_model(tracking, tracking.registry_name, source=source, run_id=each.run_id)
            for each in (run, run, other)
        ]

    assert versions == [1, 1, 2]


def test_a_run_is_resumed_without_the_half_runs_below_it(tracking):
    parent = start_run(tracking, "training")
    whole, half = (start_run(tracking, name, parent_id=parent) for name in ("whole", "half"))
    end_run(tracking, whole)
    end_run(tracking, parent, RuntimeError("cut short"))

    resumed = resume_run(tracking, parent)

    client = connect(tracking)
    run = client.get_run(parent)
    assert (resumed, run.info.status, "error" in run.data.tags) == (True, "RUNNING", False)
    assert [client.get_run(one).info.lifecycle_stage for one in (whole, half)] == ["active", "deleted"]


def test_a_run_that_is_not_there_is_not_resumed(tracking):
    gone = start_run(tracking, "training")
    connect(tracking).delete_run(gone)

    assert not resume_run(tracking, gone)
    assert not resume_run(tracking, "0" * 32)


def test_a_server_that_is_away_has_no_champion_to_be_without():
    tracking = Tracking.of(Config(tracking=TrackingConfig(uri="http://127.0.0.1:9")))

    with pytest.raises(TrackingUnavailable), tracking_connection(tracking):
        registry.champion_version(tracking)


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


def test_what_is_written_to_a_deleted_run_is_told_before_and_while_it_is_written(tmp_path):
    tracking = Tracking.of(Config(workspace=tmp_path))
    run_id = start_run(tracking, "training")
    connect(tracking).delete_run(run_id)

    for write in (lambda: require_active_run(tracking, run_id), lambda: log_on(tracking, run_id)):
        with pytest.raises(ResourceError, match=f"mlflow runs restore --run-id {run_id}"):
            write()


def test_a_run_that_went_with_its_experiment_is_restored_with_it(tmp_path):
    tracking = Tracking.of(Config(workspace=tmp_path))
    run_id = start_run(tracking, "training")
    identity = experiment_id(tracking)
    connect(tracking).delete_experiment(identity)

    with pytest.raises(ResourceError, match=f"mlflow experiments restore --experiment-id {identity}"):
        require_active_run(tracking, run_id)


def log_on(tracking, run_id):
    with tracking_connection(tracking):
        run_of(tracking, run_id).text("text", "file.txt")
        run_of(tracking, run_id).metrics({"loss": 1.0})


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
