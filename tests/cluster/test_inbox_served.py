"""A PACS that calls `lidcflow up`, in the words of the documentation, and readers that keep their models."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from distributed import Client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName
from prefect.client.schemas.objects import StateType

from flows.service.password import known_password
from lidcflow.inbox.delivery import Step
from lidcflow.inbox.ledger import Ledger
from tasks.sector_scores import _load_models
from tests.cluster.test_up import Up
from tests.orthanc import is_installed, orthanc

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "inbox.md").read_text()
LUA_LINE = re.search(r"^    (function OnStableStudy.*)$", PAGE, re.MULTILINE)[1]
CURL_LINES = re.search(r'^    (token=.*?\]")$', PAGE, re.MULTILINE | re.DOTALL)[1]
CONFIG_OF_LINE = "/etc/lidcflow.toml"
SERVER_OF_LINE = "reader:4200"

ANSWER_LIMIT_S, STOP_LIMIT_S = 300, 90
ONCE_A_DAY_S = 86400

SETTINGS = """
workspace = "{folder}/workspace"
inbox = "pacs:main"
patient_key = "public"
[tracking]
uri = "{tracking}"
[preprocess]
slices = 8
size = 32
[train]
sector_num = 2
epochs = 2
[cluster]
workers = 1
[access.pacs.main]
url = "{pacs.url}"
changes = "{pacs.root}/changes"
[delivery]
to = ["pacs:main"]
[serve]
hosts = ["reader"]
prefect_port = {ports[0]}
mlflow_port = {ports[1]}
reports_port = {ports[2]}
readers_port = {ports[3]}
infer_every_s = {every_s}
"""


class Served(Up):
    """A `lidcflow up` whose inbox is a PACS."""

    def __init__(self, settings, pacs):
        super().__init__(settings)
        self.pacs = pacs

    @property
    def api(self):
        return self.client()

    def rounds(self):
        """Return the runs of the inbox that somebody asked for, and those of the schedule that have begun."""
        infer = DeploymentFilter(name=DeploymentFilterName(any_=["infer"]))
        with self.api as client:
            runs = client.read_flow_runs(deployment_filter=infer)
        return [run for run in runs if run.start_time or not run.auto_scheduled]

    def delivered(self):
        with Ledger(self.config.catalog) as ledger:
            return [row.study_instance_uid for row in ledger.rows([Step.DELIVERED])]

    def is_idle(self):
        """Return whether every call of the PACS has had its round: an event during one starts none.

        A study is stable twice: when it has come, and when its answer has.
        """
        changes = self.pacs.ask("GET", "/changes?limit=100000")["Changes"]
        stable = sum(change["ChangeType"] == "StableStudy" for change in changes)
        rounds = self.rounds()
        ended = sum(run.state_type in (StateType.COMPLETED, StateType.CANCELLED) for run in rounds)
        return 2 * len(self.delivered()) <= stable <= ended == len(rounds)

    def answer(self, folder):
        """Store a study in the PACS while nothing is under way, and wait until it has its answer."""
        self.wait_for(self.is_idle, ANSWER_LIMIT_S)
        study = self.pacs.send(folder)
        self.wait_for(lambda: study in self.delivered(), ANSWER_LIMIT_S)
        return study

    def loaded(self):
        """Return for each process of the readers its number, and how often it has loaded a release's models."""
        with Client(f"tcp://127.0.0.1:{self.config.serve.readers_port}", set_as_default=False) as client:
            pids = client.run(os.getpid)
            return {pids[worker]: info.misses for worker, info in client.run(_load_models.cache_info).items()}


def free_ports(count):
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


@pytest.fixture(scope="module")
def served(released, tmp_path_factory):
    """A served workspace with a release, and an Orthanc that calls it as the documentation says."""
    if not is_installed():
        pytest.skip("Orthanc with DICOMweb is not here (Debian packages orthanc and orthanc-dicomweb)")
    folder = tmp_path_factory.mktemp("served")
    settings = folder / "lidcflow.toml"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with pytest.MonkeyPatch.context() as patched, ExitStack() as stack:
        patched.setenv("PATH", path)
        pacs = stack.enter_context(orthanc(LUA_LINE.replace(CONFIG_OF_LINE, str(settings))))
        tracking, ports = released.tracking_uri, free_ports(4)
        settings.write_text(
            SETTINGS.format(folder=folder, tracking=tracking, pacs=pacs, ports=ports, every_s=ONCE_A_DAY_S)
        )
        up = Served(settings, pacs)
        try:
            yield up
        finally:
            up.process.send_signal(signal.SIGINT)
            up.process.wait(STOP_LIMIT_S)
            assert up.survivors() == []


def test_orthanc_calls_when_a_study_is_stable_and_it_is_answered_without_waiting_for_the_schedule(
    served, ct_series, tmp_path
):
    study = served.answer(ct_series(tmp_path / "called"))

    assert served.delivered() == [study]
    assert not any(run.auto_scheduled for run in served.rounds())


def test_the_next_study_is_read_by_the_processes_that_have_the_models_already(served, ct_series, tmp_path):
    served.answer(ct_series(tmp_path / "first", patient_id="P2"))
    before = served.loaded()

    served.answer(ct_series(tmp_path / "second", patient_id="P3"))

    assert served.loaded() == before
    assert list(before.values()) == [1]


def test_readers_that_are_killed_come_back_and_read(served, ct_series, tmp_path):
    served.answer(ct_series(tmp_path / "before", patient_id="P4"))
    (killed,) = served.loaded()

    os.kill(killed, signal.SIGKILL)
    served.answer(ct_series(tmp_path / "after", patient_id="P5"))
    (successor,) = served.loaded()
    service = next(
        one
        for one in psutil.Process(successor).parents()
        if "flows.service.inference_cluster" in " ".join(one.cmdline())
    )
    service.kill()
    served.wait_for(lambda: "readers: started again" in served.output.read_text(), ANSWER_LIMIT_S)
    served.answer(ct_series(tmp_path / "last", patient_id="P6"))

    assert len({killed, successor, *served.loaded()}) == 3


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not here")
def test_the_documented_command_tells_of_a_study_from_any_machine(served, tmp_path):
    served.wait_for(served.is_idle, ANSWER_LIMIT_S)
    before = {run.id for run in served.rounds()}
    there = f"127.0.0.1:{served.config.serve.prefect_port}"
    (tmp_path / "prefect.curl").write_text(f'user = "{known_password(served.config.prefect_home)}"\n')
    (tmp_path / ".curlrc").write_text(f'connect-to = "{SERVER_OF_LINE}:{there}"\nfail\nsilent\nshow-error\n')

    done = subprocess.run(
        ["sh", "-c", CURL_LINES],
        env={"PATH": os.environ["PATH"], "CURL_HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    served.wait_for(
        lambda: any(run.id not in before and run.state_type is StateType.COMPLETED for run in served.rounds()),
        ANSWER_LIMIT_S,
    )
