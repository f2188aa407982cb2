"""What a Prefect server is told, and what is left over from the last time."""

import asyncio
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.states import Completed, Crashed, Running, Scheduled
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker

from flows.service import deploy as module
from flows.service.deploy import (
    CAUGHT_UP,
    catch_up,
    deploy,
    deploy_afresh,
    drop_missed_runs,
    end_abandoned_runs,
    job_template,
)
from flows.service.schedules import INBOX, scheduled
from lidcflow.config import Config
from tasks.drift import ALERT
from tasks.labels import LABELLED


def deploy_only(config, *names):
    """Deploy what a test is about: each deployment takes Prefect 0.3 s."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "scheduled", lambda of: [one for one in scheduled(of) if one.name in names])
        return deploy(config)


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

    deploy_only(Config(workspace=tmp_path), "retrain")
    retrain = client.read_deployment_by_name("retrain/retrain")
    abandoned = client.create_flow_run_from_deployment(retrain.id, state=Running()).id
    alone = client.create_flow_run(by_hand, state=Running()).id
    asked_for = client.create_flow_run_from_deployment(retrain.id, state=Scheduled()).id

    end_abandoned_runs(client)
    drop_missed_runs(client, "retrain")

    states = [client.read_flow_run(run).state_type for run in (abandoned, alone, asked_for)]
    assert states == [StateType.CRASHED, StateType.RUNNING, StateType.SCHEDULED]


@pytest.fixture(scope="module")
def each_minute(prefect_server, tmp_path_factory):
    """Deploy a schedule that is due each minute."""
    config = Config(workspace=tmp_path_factory.mktemp("minutes"), serve={"retrain_cron": "* * * * *"})
    deploy_only(config, "retrain")
    return next(one for one in scheduled(config) if one.name == "retrain")


@pytest.fixture
def hourly(client, each_minute):
    """Return a deployment whose schedule was due within the last minute, as if it had been made an hour ago."""
    deployment = each_minute
    known = client.read_deployment_by_name("retrain/retrain")
    for run in runs_of(client, known):
        client.delete_flow_run(run.id)
    return deployment, known.model_copy(update={"created": datetime.now(UTC) - timedelta(hours=1)})


def runs_of(client, deployment):
    return client.read_flow_runs(deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id])))


def caught_up(client, deployment):
    return [run for run in runs_of(client, deployment) if CAUGHT_UP in run.tags]


def test_a_due_time_without_a_run_is_made_up_for_once_however_often_it_is_asked(client, hourly, monkeypatch):
    deployment, known = hourly
    due = datetime.now(UTC).replace(second=0, microsecond=0)
    monkeypatch.setattr("flows.service.deploy.last_due", lambda *_: due)

    catch_up(client, deployment, known)
    catch_up(client, deployment, known)
    (run,) = caught_up(client, known)
    client.set_flow_run_state(run.id, Crashed())  # a machine that ends with each run must not begin it for ever
    catch_up(client, deployment, known)

    assert [one.id for one in caught_up(client, known)] == [run.id]


@pytest.mark.parametrize(("state", "made_up_for"), [(Completed(), False), (Crashed(), True)])
def test_a_run_that_was_cut_off_is_made_up_for_and_one_that_ended_is_not(
    client, hourly, monkeypatch, state, made_up_for
):
    deployment, known = hourly
    due = datetime.now(UTC) - timedelta(minutes=5)
    monkeypatch.setattr("flows.service.deploy.last_due", lambda *_: due)
    begun = client.create_flow_run_from_deployment(known.id, state=Running())
    client.set_flow_run_state(begun.id, state, force=True)

    catch_up(client, deployment, known)

    assert bool(caught_up(client, known)) == made_up_for


def test_what_was_deployed_after_its_due_time_has_missed_nothing(client, hourly):
    deployment, known = hourly

    catch_up(client, deployment, known.model_copy(update={"created": datetime.now(UTC)}))

    assert caught_up(client, known) == []


def test_the_inbox_has_no_schedule_where_it_is_polled(client, tmp_path):
    config = Config(workspace=tmp_path, inbox=str(tmp_path), serve={"infer_every_s": 3600})
    deploy_only(config, INBOX)
    scheduled_before = client.read_deployment_by_name("inbox/infer")

    deploy_afresh(config)

    left = client.read_deployment_by_name("inbox/infer")
    assert [one.slug for one in scheduled_before.schedules] == ["frequent"]
    assert left.schedules == []


def test_what_an_earlier_version_deployed_for_another_flow_goes(client, tmp_path):
    @flow(name="train")
    def train():
        pass

    flow_id = client.create_flow(train)
    moved = client.create_deployment(flow_id, "retrain", tags=["lidcflow"])
    others = client.create_deployment(flow_id, "of-mine", tags=["lidcflow"])

    deploy_only(Config(workspace=tmp_path), "retrain")

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

    deploy_only(Config(workspace=tmp_path), "drift")
    kept = client.read_work_pool("lidcflow").type
    client.delete_work_pool("lidcflow")

    assert kept == "docker"


OWN_WAYS = [
    {"command": "touch mark"},
    {"env": {"LD_PRELOAD": "mark.so"}},
    {"env.PYTHONPATH": "mark"},
    {"working_dir": "/tmp"},
]


@pytest.fixture(scope="module")
def over_a_pool_of_prefect(prefect_server, tmp_path_factory):
    """Deploy where the pool has the template that Prefect gives it."""
    template = ProcessWorker.get_default_base_job_template()
    with get_client(sync_client=True) as client:
        pool = WorkPoolCreate(name="lidcflow", type="process", base_job_template=template)
        client.create_work_pool(pool, overwrite=True)
    deploy_only(Config(workspace=tmp_path_factory.mktemp("deployed")), "drift")


@pytest.mark.usefixtures("over_a_pool_of_prefect")
@pytest.mark.parametrize("variables", OWN_WAYS, ids=str)
def test_a_run_brings_no_command_environment_or_folder_of_its_own(client, variables):
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
    deploy_only(Config(workspace=tmp_path), "retrain")
    retrain = client.read_deployment_by_name("retrain/retrain")
    client.resume_deployment(retrain.id)
    deploy_only(Config(workspace=tmp_path), "retrain")

    (automation,) = client.read_resource_related_automations(f"prefect.deployment.{retrain.id}")

    assert automation.trigger.expect == {LABELLED, ALERT}


def test_flows_load_where_the_user_has_modules_of_the_same_names(tmp_path):
    (tmp_path / "tasks.py").write_text("raise SystemExit('the tasks of the user')")
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "__init__.py").write_text("raise SystemExit('the flows of the user')")
    program = "from flows.service.deploy import load_flow; print(load_flow('flows.clean.clean').name)"

    loaded = subprocess.run(
        [sys.executable, "-P", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert loaded.stdout.split() == ["clean"], loaded.stderr
