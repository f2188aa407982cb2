"""What a Prefect server is told, and what is left over from the last time."""

import asyncio
from contextlib import suppress
from uuid import uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.states import Running, Scheduled
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker

from flows.service.deploy import deploy, drop_missed_runs, end_abandoned_runs, job_template, superfluous
from lidcflow.config import Config
from tasks.drift import ALERT
from tasks.labelled import LABELLED


def due_run(name, *, by_hand=False):
    return FlowRun(name=name, flow_id=uuid4(), auto_scheduled=not by_hand)


def test_the_newest_missed_run_makes_up_for_the_others_and_runs_asked_for_by_hand_stay():
    due = [due_run("by hand", by_hand=True), due_run("newest"), due_run("older"), due_run("oldest")]

    dropped = superfluous(due, paused=False)

    assert [run.name for run in dropped] == ["older", "oldest"]


def test_a_paused_deployment_makes_up_for_nothing():
    due = [due_run("by hand", by_hand=True), due_run("newest")]

    dropped = superfluous(due, paused=True)

    assert [run.name for run in dropped] == ["newest"]


def paused(deployed):
    return {name for name, is_paused in deployed.items() if is_paused}


@pytest.fixture
def client(prefect_server):
    with get_client(sync_client=True) as client:
        yield client


def test_deployments_are_made_once_and_keep_a_pause_by_hand(client, tmp_path):
    config = Config(workspace=tmp_path, archive="idc:lidc_idri")

    first = deploy(config)
    by_hand = client.read_deployment_by_name("retrain/retrain")
    client.pause_deployment(by_hand.id)
    second = deploy(config)
    with_inbox = deploy(Config(workspace=tmp_path, archive="a", inbox="i", serve={"retrain_cron": "5 4 * * 6"}))

    assert paused(first) == {"infer"}
    assert paused(second) == {"retrain", "infer"}
    assert paused(with_inbox) == {"retrain"}
    assert [one.schedule.cron for one in client.read_deployment(by_hand.id).schedules] == ["5 4 * * 6"]


def test_a_run_that_nobody_works_on_ends_and_a_run_from_the_command_line_goes_on(client, tmp_path):
    @flow(name="by-hand")
    def by_hand():
        pass

    deploy(Config(workspace=tmp_path))
    retrain = client.read_deployment_by_name("retrain/retrain")
    abandoned = client.create_flow_run_from_deployment(retrain.id, state=Running()).id
    alone = client.create_flow_run(by_hand, state=Running()).id
    asked_for = client.create_flow_run_from_deployment(retrain.id, state=Scheduled()).id

    end_abandoned_runs(client)
    drop_missed_runs(client, "retrain", paused=False)

    states = [client.read_flow_run(run).state_type for run in (abandoned, alone, asked_for)]
    assert states == [StateType.CRASHED, StateType.RUNNING, StateType.SCHEDULED]


def test_what_an_earlier_version_deployed_for_another_flow_goes(client, tmp_path):
    @flow(name="train")
    def train():
        pass

    flow_id = client.create_flow(train)
    moved = client.create_deployment(flow_id, "retrain", tags=["lidcflow"])
    others = client.create_deployment(flow_id, "of-mine", tags=["lidcflow"])

    deploy(Config(workspace=tmp_path))

    left = {str(found.id) for found in client.read_deployments()}
    assert str(moved) not in left
    assert str(others) in left


def test_prefect_keeps_no_configuration_and_trainings_take_turns(client, tmp_path):
    deploy(Config(workspace=tmp_path, archive="a", catalog_url="postgresql+pg8000://me:secret@host/catalog"))

    found = {one.name: one for one in client.read_deployments()}
    queue = client.read_work_queue_by_name("training", work_pool_name="lidcflow")

    assert {name: one.parameters for name, one in found.items() if one.parameters} == {}
    assert queue.concurrency_limit == 1
    assert {name for name, one in found.items() if one.work_queue_id == queue.id} == {
        "retrain",
        "train",
        "pipeline",
        "experiment",
    }
    assert found["train"].schedules == []


def test_a_pool_that_somebody_made_for_other_workers_stays(client, tmp_path):
    with suppress(ObjectNotFound):
        client.delete_work_pool("lidcflow")
    client.create_work_pool(WorkPoolCreate(name="lidcflow", type="docker"))

    deploy(Config(workspace=tmp_path))
    kept = client.read_work_pool("lidcflow").type
    client.delete_work_pool("lidcflow")

    assert kept == "docker"


OWN_WAYS = [
    {"command": "touch mark"},
    {"env": {"LD_PRELOAD": "mark.so"}},
    {"env.PYTHONPATH": "mark"},
    {"working_dir": "/tmp"},
]


@pytest.mark.parametrize("variables", OWN_WAYS, ids=str)
def test_a_run_brings_no_command_environment_or_folder_of_its_own(client, tmp_path, variables):
    client.create_work_pool(
        WorkPoolCreate(
            name="lidcflow", type="process", base_job_template=ProcessWorker.get_default_base_job_template()
        ),
        overwrite=True,
    )
    deploy(Config(workspace=tmp_path))
    drift = client.read_deployment_by_name("drift/drift")

    with pytest.raises(PrefectHTTPStatusError, match="422"):
        client.create_flow_run_from_deployment(drift.id, job_variables=variables)
    plain = client.create_flow_run_from_deployment(drift.id)

    assert client.read_flow_run(plain.id).job_variables in (None, {})


@pytest.mark.parametrize("variables", OWN_WAYS, ids=str)
def test_a_worker_leaves_out_what_a_run_brings_past_the_server(variables):
    started = asyncio.run(ProcessJobConfiguration.from_template_and_values(job_template(), variables))

    assert (started.command, started.env, started.working_dir) == (None, {}, None)


def test_labelled_series_and_drift_start_a_look_at_retraining(client, tmp_path):
    deploy(Config(workspace=tmp_path))
    retrain = client.read_deployment_by_name("retrain/retrain")
    client.resume_deployment(retrain.id)
    deploy(Config(workspace=tmp_path))

    (automation,) = client.read_resource_related_automations(f"prefect.deployment.{retrain.id}")

    assert automation.trigger.expect == {LABELLED, ALERT}
