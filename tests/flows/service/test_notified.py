"""A notification during a round is not lost: the end of the round starts one more."""

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.states import Cancelled, Completed, Running

from flows.inbox import inbox
from flows.service.deploy import deploy
from flows.service.inbox_run import DEPLOYMENT
from flows.service.notified import COMPLETE, run_again_if_notified
from lidcflow.config import Config

TAKEN = Cancelled(message="Deployment concurrency limit reached.")


@pytest.fixture
def client(prefect_server):
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def deployment(client, tmp_path):
    deploy(Config(workspace=tmp_path, inbox=str(tmp_path)))
    return client.read_deployment_by_name(DEPLOYMENT).id


def waiting(client, deployment):
    runs = client.read_flow_runs()
    return [run for run in runs if run.deployment_id == deployment and "notified" in run.tags]


@pytest.mark.parametrize(
    ("cancelled", "parameters", "more"),
    [
        (TAKEN, COMPLETE, 1),
        (TAKEN, {}, 0),
        (Cancelled(message="Cancelled from the UI"), COMPLETE, 0),
        (Completed(), COMPLETE, 0),
    ],
    ids=["a notification", "a schedule", "by hand", "one that ran"],
)
def test_one_run_makes_up_for_the_notifications_that_came_during_a_round(
    client, deployment, cancelled, parameters, more
):
    here = client.create_flow_run_from_deployment(deployment, state=Running())
    for _ in range(3):
        client.create_flow_run_from_deployment(deployment, parameters=dict(parameters), state=cancelled)
    before = waiting(client, deployment)

    run_again_if_notified(inbox, client.read_flow_run(here.id), Completed())

    made = [run for run in waiting(client, deployment) if run.id not in {one.id for one in before}]
    assert [(run.state_type, run.parameters) for run in made] == [(StateType.SCHEDULED, COMPLETE)] * more


def test_a_notification_from_before_a_round_starts_none_after_it(client, deployment):
    client.create_flow_run_from_deployment(deployment, parameters=dict(COMPLETE), state=TAKEN)
    here = client.create_flow_run_from_deployment(deployment, state=Running())
    before = waiting(client, deployment)

    run_again_if_notified(inbox, client.read_flow_run(here.id), Completed())

    assert waiting(client, deployment) == before


def test_the_end_of_a_round_looks_for_notifications_whether_it_went_well_or_not():
    assert inbox.on_completion_hooks == inbox.on_failure_hooks == [run_again_if_notified]
