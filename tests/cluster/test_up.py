"""`lidcflow up` with real servers: a scheduled run runs, and nothing is left behind however it stops."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import psutil
import pydicom
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType

from flows.service.leftovers import GUARD_MODULE
from flows.service.password import known_password
from flows.service.processes import answers
from lidcflow.config.file import load_config
from lidcflow.store.locate import is_store
from tests.truth import check_truth

LIDCFLOW = Path(sys.executable).with_name("lidcflow")
EVERY_MINUTE = "* * * * *"
START_LIMIT_S, RUN_LIMIT_S, STOP_LIMIT_S = 180, 240, 90

SETTINGS = """
workspace = "{folder}/workspace"
archive = "{folder}/archive"
patient_key = "public"
[preprocess]
slices = 8
size = 16
[cluster]
workers = 1
[serve]
prefect_port = {prefect_port}
mlflow_port = {mlflow_port}
reports_port = {reports_port}
preprocess_cron = "{cron}"
"""


class Up:
    """A `lidcflow up`, and every process that it ever had."""

    def __init__(self, settings):
        self.config = load_config(settings)
        self.command = [LIDCFLOW, "up", "--config", settings]
        self.output = settings.with_suffix(".log")
        self.seen = set()
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                self.command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        self.wait_for(lambda: "Ctrl-C stops everything" in self.output.read_text(), START_LIMIT_S)

    def wait_for(self, claim, limit_s):
        """Wait until a claim holds, and return what it gave."""
        deadline = time.monotonic() + limit_s
        while not (found := claim()):
            if self.process.poll() is None:
                self.seen.update(psutil.Process(self.process.pid).children(recursive=True))
            assert time.monotonic() < deadline, self.output.read_text()
            time.sleep(0.3)
        return found

    def client(self):
        """Return a client of the Prefect server, with the workspace's password."""
        api = f"http://127.0.0.1:{self.config.serve.prefect_port}/api"
        return SyncPrefectClient(api, auth_string=known_password(self.config.prefect_home))

    def run_in(self, *states):
        """Return a run of `preprocess` in one of some states, newest first."""
        with self.client() as client:
            runs = [run for run in client.read_flow_runs() if run.state_type in states]
        return max(runs, key=lambda run: run.expected_start_time, default=None)

    def start_run(self):
        with self.client() as client:
            deployment = client.read_deployment_by_name("preprocess/preprocess")
            return client.create_flow_run_from_deployment(deployment.id).id

    def state_of(self, run_id):
        with self.client() as client:
            return client.read_flow_run(run_id).state_type

    def survivors(self):
        """Return the processes that still run, given a moment to end."""
        _, alive = psutil.wait_procs(self.seen, timeout=STOP_LIMIT_S)
        return alive

    def has_free_ports(self):
        serve = self.config.serve
        for port in (serve.prefect_port, serve.mlflow_port, serve.reports_port):
            socket.create_server(("127.0.0.1", port)).close()
        return True


def settings_of(folder, ct_series, *, cron=EVERY_MINUTE):
    """Write a configuration with an archive of one series, on free ports."""
    ct_series(folder / "archive" / "a")
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        ports = [one.getsockname()[1] for one in sockets]
    named = dict(zip(("prefect_port", "mlflow_port", "reports_port"), ports, strict=True))
    file = folder / "lidcflow.toml"
    file.write_text(SETTINGS.format(folder=folder, cron=cron, **named))
    return file


@pytest.fixture
def settings(tmp_path, ct_series):
    """Return a configuration with an archive of one series and free ports."""
    return settings_of(tmp_path, ct_series)


@pytest.fixture
def start(settings):
    """Yield a starter of `lidcflow up` whose processes are gone at the end."""
    started = []

    def up():
        started.append(Up(settings))
        return started[-1]

    yield up
    for each in started:
        each.process.kill()
        each.process.wait()
        each.survivors()


def test_a_scheduled_run_completes_and_one_ctrl_c_leaves_nothing_behind(start, settings):
    up = start()

    up.wait_for(lambda: up.run_in(StateType.COMPLETED), RUN_LIMIT_S)
    status = json.loads(subprocess.check_output([LIDCFLOW, "status", "--json", "--config", settings]))
    reports = urllib.request.urlopen(status["service"]["reports_url"]).read().decode()
    second = subprocess.run(up.command, capture_output=True, text=True, check=False)
    up.process.send_signal(signal.SIGINT)

    assert up.process.wait(STOP_LIMIT_S) == 0
    assert len(up.seen) > 5
    assert up.survivors() == []
    assert up.has_free_ports()
    assert "infer is paused: inbox must be set" in up.output.read_text()
    assert "There is no report yet" in reports
    assert (status["store"]["series"], status["catalog"]) == (1, {"committed": 1})
    assert [run["state"] for run in status["runs"] if run["flow"] == "preprocess"] == ["Completed"]
    assert second.returncode == 1
    assert f"process {up.process.pid}" in second.stderr.replace("\n", " ")


def test_a_kill_9_leaves_nothing_behind_and_its_run_does_not_block_the_next(start, settings):
    settings.write_text(settings.read_text().replace(EVERY_MINUTE, "0 1 * * *"))
    killed = start()
    run = killed.start_run()
    killed.wait_for(lambda: killed.state_of(run) is StateType.RUNNING, RUN_LIMIT_S)

    os.kill(killed.process.pid, signal.SIGKILL)
    killed.process.wait()
    left = killed.survivors()
    again = start()
    after = again.start_run()
    again.wait_for(lambda: again.state_of(after) is StateType.COMPLETED, RUN_LIMIT_S)

    assert left == []
    assert again.state_of(run) is StateType.CRASHED


def test_a_killed_guard_costs_mlflow_s_server_seconds_and_leaves_nothing(start, settings, fault_table):
    settings.write_text(settings.read_text().replace(EVERY_MINUTE, "0 1 * * *"))
    up = start()
    url = f"http://127.0.0.1:{up.config.serve.mlflow_port}/health"
    guard = guard_of(up, "flows.service.mlflow_app")
    family = [guard, *guard.children(recursive=True)]

    killed_s = time.monotonic()
    guard.kill()
    up.wait_for(lambda: not any(process.is_running() for process in family), STOP_LIMIT_S)
    up.wait_for(lambda: "MLflow server: started again" in up.output.read_text(), STOP_LIMIT_S)
    up.wait_for(lambda: answers(url), START_LIMIT_S)
    back_s = time.monotonic() - killed_s
    guard_of(up, "flows.service.mlflow_app").kill()
    os.kill(up.process.pid, signal.SIGKILL)
    up.process.wait()

    assert up.survivors() == []
    assert up.has_free_ports()
    fault_table.add(
        17,
        "the guard of a service of `lidcflow up` is killed",
        seen="MLflow server: died with exit code -9; starts again in 1 s",
        recovery=f"{back_s:.0f} s: what it left on its port is ended, and it starts again",
    )


def guard_of(up, program):
    """Return the guard of a service."""
    children = psutil.Process(up.process.pid).children()
    return next(one for one in children if GUARD_MODULE in one.cmdline() and program in one.cmdline())


def uid_of_archive(settings):
    first = next((settings.parent / "archive").rglob("*.dcm"))
    return pydicom.dcmread(first, stop_before_pixels=True).SeriesInstanceUID


def test_a_sigterm_during_a_run_stops_all_and_leaves_whole_volumes_alone(start, settings, fault_table):
    settings.write_text(settings.read_text().replace(EVERY_MINUTE, "0 1 * * *"))
    up = start()
    up.start_run()
    up.wait_for(lambda: is_store(up.config.store_root), RUN_LIMIT_S)

    asked_s = time.monotonic()
    up.process.terminate()

    assert up.process.wait(STOP_LIMIT_S) == 0
    stopped_s = time.monotonic() - asked_s
    assert up.survivors() == []
    assert up.has_free_ports()
    assert set(check_truth(up.config)) <= {uid_of_archive(settings)}
    fault_table.add(
        15,
        "`lidcflow up` gets a SIGTERM while a run is under way",
        seen=f"{up.output.read_text().strip().splitlines()[-1]}; no process is left",
        lost="what was under way",
        recovery=f"{stopped_s:.0f} s until all has stopped; the next `lidcflow up` marks the run as crashed",
    )
