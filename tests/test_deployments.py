"""deployments/prefect.yaml: what it names exists, what it is filled with fits, and it holds values alone."""

import inspect
from pathlib import Path

import pytest
import yaml
from prefect.flows import load_flow_from_entrypoint

from flows.inbox import inbox
from flows.service.deploy import to_prefect
from flows.service.events import STUDY_ARRIVED
from flows.service.schedules import read_deployments, scheduled
from flows.service.servers import WORK_POOL
from lidcflow.config import Config

FILE = Path(__file__).parents[1] / "deployments" / "prefect.yaml"
SCHEDULED = ["preprocess", "retrain", "infer", "drift", "clean"]
NAMES = [*SCHEDULED, "train", "pipeline", "experiment", "evaluate"]


def filled(name, **settings):
    return next(deployment for deployment in scheduled(Config(**settings)) if deployment.name == name)


def flow_of(deployment):
    return load_flow_from_entrypoint(deployment.entrypoint, use_placeholder_flow=False)


def leaves(value):
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from leaves(part)
    else:
        yield value


def test_the_file_holds_values_alone():
    content = yaml.safe_load(FILE.read_text())

    texts = [leaf for leaf in leaves(content) if isinstance(leaf, str)]
    assert list(content) == ["name", "pull", "deployments"]
    assert all(isinstance(leaf, str | int) for leaf in leaves(content))
    assert not [text for text in texts if "{" in text]


def test_every_deployment_goes_to_the_pool_that_has_a_worker_and_never_overlaps_itself():
    deployments = read_deployments()

    assert [deployment.name for deployment in deployments] == NAMES
    assert {deployment.work_pool.name for deployment in deployments} == {WORK_POOL}
    assert {deployment.concurrency_limit.limit for deployment in deployments} == {1}
    assert all("Research use only" in deployment.description for deployment in deployments)


@pytest.mark.parametrize("name", NAMES)
def test_the_entrypoint_is_a_flow_that_needs_nothing_but_what_an_experiment_is_called(name):
    deployment = filled(name)

    arguments = flow_of(deployment).validate_parameters({"name": "sectors"} if name == "experiment" else {})

    assert deployment.parameters == {}
    assert arguments.get("config") is None


@pytest.mark.parametrize("name", NAMES)
def test_prefect_takes_the_deployment_and_imports_it_from_the_package(name):
    deployment = filled(name, archive="archive", inbox="inbox")

    taken = to_prefect(deployment, flow_of(deployment), paused=False)

    assert taken.entrypoint == deployment.entrypoint
    by_clock = name in SCHEDULED
    assert (taken.concurrency_limit, len(taken.schedules)) == (1, by_clock)
    assert taken.concurrency_options.collision_strategy.value == ("CANCEL_NEW" if by_clock else "ENQUEUE")


def test_the_event_that_the_command_sends_starts_inference_where_an_inbox_is_configured():
    deployment = filled("infer", inbox="inbox")

    (trigger,) = to_prefect(deployment, flow_of(deployment), paused=False).triggers
    none = to_prefect(deployment, flow_of(deployment), paused=True).triggers

    assert (trigger.expect, none) == ({STUDY_ARRIVED}, [])
    assert trigger.parameters == {"complete": True}
    assert set(trigger.parameters) <= set(inspect.signature(inbox.fn).parameters)


@pytest.mark.parametrize("name", NAMES)
def test_people_can_read_every_setting_in_the_form(name):
    schema = to_prefect(filled(name), flow_of(filled(name)), paused=True)._parameter_openapi_schema

    assert schema.properties["config"]["title"] == "config"
    assert all(known.get("description") for known in schema.properties.values())
    assert "description" in schema.definitions["ServeConfig"]["properties"]["preprocess_cron"]
