"""Runs of deployments are found by what is given, and by nothing else."""

from datetime import UTC, datetime, timedelta

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.states import Cancelled, Completed, Crashed, Running, Scheduled

from flows.service.run_queries import read_runs

HOUR = timedelta(hours=1)


@flow
def nothing():
    """A flow to deploy."""


@pytest.fixture(scope="module")
def client(prefect_server):
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture(scope="module")
def deployment(client):
    return client.create_deployment(client.create_flow(nothing), "asked-for-runs")


@pytest.fixture(scope="module")
def made(client, deployment):
    """Make a run in each state, and one that belongs to no deployment; return the IDs by state."""
    client.create_flow_run(nothing, state=Running())
    states = (Running(), Completed(), Crashed(), Cancelled(), Scheduled(scheduled_time=datetime.now(UTC) + HOUR))
    made = [client.create_flow_run_from_deployment(deployment, state=state) for state in states]
    return {run.state_type: run.id for run in made}


def found(client, *deployment, **limits):
    return {run.state_type for run in read_runs(client, *deployment, **limits)}


def test_states_are_asked_for_or_left_out(client, deployment, made):
    ended = [StateType.COMPLETED, StateType.CRASHED]

    assert found(client, deployment, states=ended) == set(ended)
    assert found(client, deployment, other_than=ended) == set(made) - set(ended)
    assert found(client, deployment) == set(made)


@pytest.mark.usefixtures("made")
def test_times_and_the_number_are_limits(client, deployment):
    now = datetime.now(UTC)

    assert found(client, deployment, due_after=now) == {StateType.SCHEDULED}
    assert StateType.SCHEDULED not in found(client, deployment, due_before=now)
    assert found(client, deployment, begun_after=now + HOUR) == set()
    assert len(read_runs(client, deployment, limit=2)) == 2


def test_a_deployment_is_known_by_its_name_too_and_runs_of_none_never_count(client, deployment, made):
    by_name = {run.id for run in read_runs(client, "asked-for-runs")}

    assert by_name == {run.id for run in read_runs(client, deployment)} == set(made.values())
    assert all(run.deployment_id for run in read_runs(client))
