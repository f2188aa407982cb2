"""The worker of `lidcflow up` forks its runs, whatever a run brings."""

import asyncio
import os
import uuid

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.workers.process import ProcessWorker

from flows.service.deploy import job_template
from flows.service.worker import COMMAND, ForkedConfiguration, ForkingWorker

pytestmark = pytest.mark.usefixtures("prefect_server")  # templates are filled in by a client

OWN_WAYS = [{}, {"command": "touch mark"}, {"env": {"LD_PRELOAD": "mark.so"}}, {"working_dir": "/tmp"}]
TEMPLATES = [job_template(), ProcessWorker.get_default_base_job_template()]


@pytest.mark.parametrize("variables", OWN_WAYS, ids=str)
@pytest.mark.parametrize(
    "template", [job_template(), ProcessWorker.get_default_base_job_template()], ids=["own", "any"]
)
def test_its_command_is_that_of_the_fork_client(template, variables):
    started = asyncio.run(ForkedConfiguration.from_template_and_values(template, variables))

    started.prepare_for_flow_run(FlowRun(id=uuid.uuid4(), flow_id=uuid.uuid4(), name="run"))

    assert started.command == COMMAND
    assert COMMAND.endswith(" -P -m flows.service.fork_client")


def test_with_the_template_of_lidcflow_it_has_no_environment_but_the_workers():
    brought = {"env": {"LD_PRELOAD": "mark.so"}}
    started = asyncio.run(ForkedConfiguration.from_template_and_values(job_template(), brought))

    started.prepare_for_flow_run(FlowRun(id=uuid.uuid4(), flow_id=uuid.uuid4(), name="run"))

    assert "LD_PRELOAD" not in started.env.keys() - os.environ.keys()


def test_it_takes_the_runs_of_pools_of_processes():
    assert (ForkingWorker.type, ForkingWorker.job_configuration) == (ProcessWorker.type, ForkedConfiguration)
