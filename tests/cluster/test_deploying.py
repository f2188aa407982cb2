"""Deployments made by the commands that people type, and a run of one by a worker that knows its configuration."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.settings import get_current_settings

ROOT = Path(__file__).parents[2]
NAMES = {"preprocess", "retrain", "infer", "drift", "clean", "train", "pipeline", "experiment", "evaluate"}
LIDCFLOW = "from flows.cli import main; main()"
RUNS_WITHIN_S = 180.0


@pytest.fixture
def site(tmp_path, ct_series, prefect_server):
    """Return a folder with an archive and a configuration, and a function that runs commands there."""
    ct_series(tmp_path / "ct" / "1", series_uid="1.2.1")
    (tmp_path / "lidcflow.toml").write_text(
        'workspace = "workspace"\narchive = "ct"\npatient_key = "public"\n'
        "[preprocess]\nslices = 8\nsize = 16\n[cluster]\nworkers = 1\n"
    )
    return tmp_path


def environment(site, **settings):
    server = {"PREFECT_API_URL": str(get_current_settings().api.url), "PREFECT_HOME": str(site / "prefect")}
    return {**os.environ, **server, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "200", **settings}


def command(site, *arguments, **settings):
    done = subprocess.run(
        [sys.executable, "-P", *arguments],
        cwd=site,
        env=environment(site, **settings),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=RUNS_WITHIN_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prefects_own_command_takes_the_file_and_a_worker_runs_what_it_made(site):
    command(site, "-m", "prefect", "work-pool", "create", "lidcflow", "--type", "process", "--overwrite")
    file = str(ROOT / "deployments" / "prefect.yaml")

    command(site, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", file)

    with get_client(sync_client=True) as client:
        deployed = {one.name: one for one in client.read_deployments()}
        run = client.create_flow_run_from_deployment(deployed["preprocess"].id)
        knowing = environment(site, LIDCFLOW_CONFIG=str(site / "lidcflow.toml"))
        state = state_of(client, run.id, site, knowing)
    assert set(deployed) == NAMES
    assert {name: one.parameters for name, one in deployed.items() if one.parameters} == {}
    assert state.type == StateType.COMPLETED, state.message
    assert (site / "workspace" / "store" / "series" / "1.2.1" / "zarr.json").exists()


def state_of(client, run_id, site, knowing):
    """Run a worker until a run has ended, and return how."""
    worker = [
        sys.executable,
        "-P",
        "-m",
        "prefect",
        "worker",
        "start",
        "--pool",
        "lidcflow",
        "--install-policy",
        "never",
    ]
    deadline_s = time.monotonic() + RUNS_WITHIN_S
    with (
        (site / "worker.log").open("wb") as log,
        subprocess.Popen(worker, env=knowing, stdout=log, stderr=log) as running,
    ):
        try:
            while time.monotonic() < deadline_s:
                state = client.read_flow_run(run_id).state
                if state and state.is_final():
                    return state
                time.sleep(1)
        finally:
            running.kill()
    raise TimeoutError((site / "worker.log").read_text()[-3000:])


def test_the_command_deploys_says_what_is_paused_and_refuses_what_is_good_on_one_machine_alone(site):
    deployed = command(site, "-c", LIDCFLOW, "deploy", "--profile", "local")

    refused = subprocess.run(
        [sys.executable, "-P", "-c", LIDCFLOW, "deploy", "--profile", "cluster"],
        cwd=site,
        env=environment(site),
        capture_output=True,
        text=True,
    )

    lines = {line.split()[0]: line for line in deployed.splitlines() if line.split() and line.split()[0] in NAMES}
    assert set(lines) == NAMES
    assert "inbox must be set in lidcflow.toml" in lines["infer"]
    assert "paused" not in lines["preprocess"]
    assert "lidcflow/training" in lines["retrain"]
    assert "on lidcflow.drift.alert" in lines["retrain"]
    assert refused.returncode == 1
    assert "catalog_url: SQLite is a file of one machine" in " ".join(refused.stderr.split())
