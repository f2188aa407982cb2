"""A real SLURM queue: commands that work on it, and jobs that are cancelled, run out of time, or find no node."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager

import pytest
from prefect.settings import get_current_settings

from lidcflow.config.file import load_config
from tests.cluster.processes import wait_for
from tests.cluster.slurm import slurm, why_not_slurm
from tests.cluster.stack import BIN, ROOT
from tests.labelled_volumes import SIZE, SLICES, store_volumes
from tests.truth import check_truth, drafts_of

WITHIN_S = 400
SERIES = 24
PRELOAD = "DASK_DISTRIBUTED__WORKER__PRELOAD"
SETTINGS = f"""
workspace = "WORKSPACE"
patient_key = "public"
[preprocess]
slices = {SLICES}
size = {SIZE}
[split]
validation = 0.3
test = 0.2
[train]
sector_num = 2
epochs = 2
[infer]
release = "1"
[cluster]
place = "dask_jobqueue.SLURMCluster"
gpus = 2
[cluster.preprocess]
workers = 2
[cluster.arguments]
queue = "cpu"
cores = 1
processes = 1
memory = "2GiB"
walltime = "00:10:00"
interface = "lo"
local_directory = "scratch"
log_directory = "jobs"
death_timeout = 300
scheduler_options = {{ dashboard_address = "127.0.0.1:0" }}
[cluster.train.arguments]
queue = "gpu"
memory = "4GiB"
job_extra_directives = ["--gres=gpu:1"]
worker_extra_args = ["--resources", "GPU=1"]
"""
HELD = '''
"""Loaded by every worker: each job says that it works, and once two do, both wait for leave to finish."""
import os, pathlib, time
import tasks.candidates

reduce_series, here = tasks.candidates.reduce_series, pathlib.Path("HERE")

def held(series, *arguments, **options):
    (here / "at-work" / os.environ["SLURM_JOB_ID"]).touch()
    time.sleep(0.5)
    while len(list((here / "at-work").iterdir())) > 1 and not (here / "go").exists():
        time.sleep(0.1)
    return reduce_series(series, *arguments, **options)

def dask_setup(worker):
    tasks.candidates.reduce_series = held
'''
MEETING = '''
"""Loaded by every worker: a sector that is trained waits until another one is, too."""
import os, pathlib, time
import tasks.train

fit_sector, here = tasks.train.fit_sector, pathlib.Path("HERE")

def met(*arguments, **options):
    (here / "at-work" / os.environ["SLURM_JOB_ID"]).write_text(os.environ["CUDA_VISIBLE_DEVICES"])
    while len(list((here / "at-work").iterdir())) < 2:
        time.sleep(0.1)
    return fit_sector(*arguments, **options)

def dask_setup(worker):
    tasks.train.fit_sector = met
'''


@pytest.fixture(scope="module")
def queue():
    """Run one SLURM for all tests of this file."""
    if reason := why_not_slurm():
        pytest.skip(reason)
    pytest.importorskip("dask_jobqueue")
    with ExitStack() as ends:
        try:
            running = ends.enter_context(slurm())
        except AssertionError as error:
            pytest.skip(f"SLURM does not start here: {error}")
        yield running


class Place:
    """A folder with a configuration, and commands that work there on the queue."""

    def __init__(self, folder, queue):
        self.folder, self.queue = folder, queue
        (folder / "lidcflow.toml").write_text(SETTINGS.replace("WORKSPACE", str(folder / "workspace")))
        (folder / "at-work").mkdir()
        self.config = load_config(folder / "lidcflow.toml", environ={})
        path = f"{BIN}:{os.environ['PATH']}:/usr/sbin"
        own = {"PATH": path, "PYTHONPATH": str(ROOT), "PREFECT_API_URL": str(get_current_settings().api.url)}
        self.environment = {**os.environ, **own, **queue.environment}

    def preload(self, text):
        """Make every worker load a module first."""
        (self.folder / "preload.py").write_text(text.replace("HERE", str(self.folder)))
        self.environment[PRELOAD] = f'["{self.folder}/preload.py"]'

    @contextmanager
    def running(self, *command):
        """Start a command; it is gone at the end."""
        log = (self.folder / f"{command[0]}.log").open("wb")
        start = [sys.executable, "-P", "-c", "from flows.cli import main; main()", *command]
        how = {"cwd": self.folder, "env": self.environment, "stdout": log, "stderr": subprocess.STDOUT}
        with log, subprocess.Popen(start, start_new_session=True, **how) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)

    def run(self, *command):
        with self.running(*command) as process:
            code = process.wait(WITHIN_S)
        assert code == 0, self.said(command[0]) + self.jobs_said()
        return self.said(command[0])

    def said(self, command):
        """Return what a command has said, as one line."""
        return " ".join((self.folder / f"{command}.log").read_text().split())

    def jobs_said(self):
        return "\n".join(log.read_text()[-2000:] for log in (self.folder / "jobs").glob("*.err"))

    def wait_for(self, flow, claim):
        """Wait until a claim holds, as long as the command runs."""
        why = lambda: self.said("preprocess") + self.jobs_said() + self.queue.logs()  # noqa: E731
        wait_for(claim, WITHIN_S, why, lambda: flow.poll() is None)

    def at_work(self):
        return {path.name for path in (self.folder / "at-work").iterdir()}


@pytest.fixture
def place(tmp_path, queue, prefect_server):
    return Place(tmp_path, queue)


def test_jobs_that_are_cancelled_or_out_of_time_cost_no_series_and_are_reported_like_a_wait_for_a_node(
    place, queue, ct_series
):
    for number in range(1, SERIES + 1):
        ct_series(place.folder / "source" / str(number), series_uid=f"1.2.{number}")
    place.preload(HELD)

    with place.running("preprocess", "source") as flow:
        place.wait_for(flow, lambda: len(place.at_work()) == 2)
        cancelled, too_long = queue.jobs("RUNNING")
        queue.run_out_of_time(too_long)
        with queue.drained():
            queue.run("scancel", cancelled)
            place.wait_for(flow, lambda: "wait for a node" in place.said("preprocess"))
            waiting = queue.jobs("PENDING")
        (place.folder / "go").touch()
        code = flow.wait(WITHIN_S)

    said = place.said("preprocess")
    assert code == 0, said + place.jobs_said()
    assert set(check_truth(place.config)) == {f"1.2.{number}" for number in range(1, SERIES + 1)}
    assert drafts_of(place.config) == []
    assert f"SLURM job {cancelled}: must run until the flow ends, but was cancelled (CANCELLED); another job" in said
    assert f"SLURM job {too_long}: must run until the flow ends, but reached its time limit (TIMEOUT)" in said
    assert f"SLURM jobs {', '.join(waiting)}: wait for a node, none of this flow runs; SLURM gives the reason" in said
    assert "DRAINED" in said
    assert len(place.at_work()) > 2
    assert queue.jobs("RUNNING,PENDING") == []


def test_two_sectors_train_at_once_on_two_gpus_and_their_release_reads_new_series_there(place, queue, ct_series):
    store_volumes(place.config)
    ct_series(place.folder / "inbox" / "1", series_uid="1.2.1")
    place.preload(MEETING)

    place.run("train")
    del place.environment[PRELOAD]
    gpus = {path.read_text() for path in (place.folder / "at-work").iterdir()}
    said = place.run("infer", "inbox")

    assert gpus == {"0", "1"}
    assert "1 series" in said
    assert list((place.folder / "workspace" / "reports").rglob("recommendations.json"))
    assert queue.jobs("RUNNING,PENDING", "gpu") == []
