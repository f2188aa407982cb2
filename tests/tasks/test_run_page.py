"""What Prefect's pages show of a run: its name, its tags, and lines in its log."""

import logging

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext

from lidcflow.config import Config
from tasks.cluster.here import worker_here
from tasks.progress import listening, stage
from tasks.publish import ProgressArtifact
from tasks.run_page import name_run, run_log


@flow(name="train")
def named_run():
    """Name itself, go through a stage, and return its ID."""
    name_run("train 13 sectors, snapshot aa2e", Config(), "by hand")
    with listening(ProgressArtifact()), stage("features", total=2) as features:
        features.advance(2)
    return FlowRunContext.get().flow_run.id


@pytest.mark.usefixtures("prefect_server")
def test_a_run_is_named_and_tagged_and_has_a_line_for_each_stage(caplog):
    with caplog.at_level(logging.INFO):
        run_id = named_run()

    with get_client(sync_client=True) as client:
        run = client.read_flow_run(run_id)
    assert run.name == "train 13 sectors, snapshot aa2e"
    assert set(run.tags) == {"stage train", "place local", "by hand"}
    (line,) = [line for line in caplog.records if line.getMessage().startswith("features: 2 of 2 in ")]
    assert line.flow_run_name == run.name


def test_outside_of_a_run_nothing_is_named_and_lines_go_to_an_ordinary_log(caplog):
    name_run("nothing", Config())

    with caplog.at_level(logging.INFO, "lidcflow"):
        run_log().info("5 slices")

    assert caplog.messages == ["5 slices"]


def test_outside_of_a_cluster_the_worker_is_this_process():
    assert worker_here().startswith("process ")
