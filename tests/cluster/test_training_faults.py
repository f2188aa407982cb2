"""What breaks in a cluster while it trains or runs deployments: what users see, what is lost, how long it takes."""

import time

import pytest

from tests.cluster.fault_table import sentence
from tests.cluster.processes import wait_for

pytestmark = pytest.mark.faults

WITHIN_S = 600
SMALL_MEMORY = "--memory-limit=300MiB"
"""TensorFlow alone takes twice that."""


def kept_models(servers):
    return list((servers.workspace / "trainings").glob("*/*/model.keras"))


def releases(servers):
    """Return the versions that the registry holds, each complete."""
    return servers.run("lidcflow", "releases", "--json")


def test_an_mlflow_that_is_away_while_sectors_are_trained_costs_time_and_nothing_else(trained, fault_table):
    servers = trained.servers
    mlflow = servers.servers["mlflow"]
    again = {"LIDCFLOW_TRAIN__SEED": "11", "LIDCFLOW_TRACKING__WAIT_S": "300"}

    with servers.running("lidcflow", "train", "--json", environ=again) as training:
        wait_for(lambda: kept_models(servers), WITHIN_S, lambda: "no sector", lambda: training.poll() is None)
        mlflow.kill()
        time.sleep(20)
        mlflow.start()
        back_s = time.monotonic()
        said, _ = training.communicate(timeout=WITHIN_S)
        done_s = time.monotonic() - back_s

    assert training.returncode == 0, said
    assert '"reused": false' in said
    assert not list((servers.workspace / "trainings").iterdir())
    fault_table.add(
        9,
        "MLflow is away for 20 s while sectors are trained",
        seen="the release, as if nothing had been",
        recovery=f"{done_s:.0f} s after it is back: what is kept is logged, nothing is trained again",
    )


def test_a_training_that_outgrows_its_memory_ends_in_a_sentence_and_costs_the_release_in_force_nothing(
    trained, fault_table
):
    servers = trained.servers
    worker = servers.servers["train-worker"]
    usual, before = worker.command, releases(servers)
    worker.kill()
    worker.command = [SMALL_MEMORY if word.startswith("--memory-limit") else word for word in usual]
    worker.start()
    try:
        with servers.running("lidcflow", "train", environ={"LIDCFLOW_TRAIN__SEED": "12"}) as training:
            started_s = time.monotonic()
            said, _ = training.communicate(timeout=WITHIN_S)
            told_s = time.monotonic() - started_s
    finally:
        worker.kill()
        worker.command = usual
        worker.start()

    assert training.returncode == 1, said
    assert "Traceback" not in said
    assert "memory" in sentence(said)
    assert releases(servers) == before
    fault_table.add(
        10,
        "a training needs more memory than its worker has",
        seen=sentence(said),
        recovery=f"told within {told_s:.0f} s; the same command again once there is more memory",
    )


@pytest.fixture
def slow_storage(deployed_flows):
    # A run that finds everything stored asks a few times only: it must last until the second one is there.
    deployed_flows.servers.order(slow_s=12)
    yield deployed_flows.servers
    deployed_flows.servers.order()


def test_a_second_run_of_a_deployment_that_runs_is_cancelled_and_harms_nothing(
    deployed_flows, slow_storage, fault_table
):
    first = deployed_flows.start("preprocess/preprocess")
    wait_for(lambda: deployed_flows.look(first)["state_type"] == "RUNNING", WITHIN_S)

    second = deployed_flows.run("preprocess/preprocess")
    slow_storage.order()
    wait_for(lambda: deployed_flows.look(first)["state_type"] == "COMPLETED", WITHIN_S)

    assert second["state_type"] == "CANCELLED"
    fault_table.add(
        14,
        "a second run of a deployment that runs",
        seen=f"{second['state']['name']}: {second['state']['message']}",
        recovery="at once: the first goes on",
    )
