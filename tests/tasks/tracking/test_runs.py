"""Runs of MLflow: figures, curves, and what becomes of a run that breaks."""

import json

import pytest
from matplotlib.figure import Figure

from lidcflow.config import Config
from lidcflow.errors import ResourceError
from tasks.tracking.connection import (
    Tracking,
    connect,
    experiment_id,
    require_active_run,
    tracking_connection,
)
from tasks.tracking.runs import end_run, open_run, resume_run, run_of, start_run


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


def test_tags_and_more_parameters_than_one_takes_are_all_kept(tracking):
    with open_run(tracking, "long") as run:
        run.params({f"setting_{number}": number for number in range(130)})
        run.tags({"one": "1", "two": "2"})
        run.tags({})

    kept = connect(tracking).get_run(run.run_id).data
    assert len(kept.params) == 130
    assert (kept.tags["one"], kept.tags["two"]) == ("1", "2")


def test_a_run_that_breaks_is_marked_failed_with_its_error(tracking):
    with pytest.raises(ValueError, match="no slices"), open_run(tracking, "sector 2") as run:
        raise ValueError("no slices")

    broken = connect(tracking).get_run(run.run_id)
    assert (broken.info.status, broken.data.tags["error"]) == ("FAILED", "ValueError: no slices")


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
