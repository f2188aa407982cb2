"""What SLURM says of jobs, and what is made of it; tests/cluster/test_slurm.py has a real one."""

import logging
import threading
from types import SimpleNamespace

import pytest

from tasks.cluster import queue
from tasks.cluster.queue import Job, Watch, has_ended, look, sentence_of, submitted


@pytest.fixture
def squeue(tmp_path, monkeypatch):
    """Return a function that says what `squeue` prints, and a file with what it was asked."""

    def prints(text):
        (tmp_path / "said").write_text(text)
        program = tmp_path / "squeue"
        program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\ncat {tmp_path}/said\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        return tmp_path / "asked"

    return prints


def cluster_of(**jobs):
    return SimpleNamespace(workers={name: SimpleNamespace(job_id=number) for name, number in jobs.items()})


def test_all_jobs_of_a_pool_are_asked_for_at_once(squeue):
    asked = squeue("12|RUNNING|None\n13|PENDING|ReqNodeNotAvail, UnavailableNodes:n1\n")

    found = look(["12", "13"])

    assert found == {"12": Job("RUNNING", "None"), "13": Job("PENDING", "ReqNodeNotAvail, UnavailableNodes:n1")}
    assert "--jobs=12,13" in asked.read_text()


def test_a_slurm_that_does_not_answer_says_nothing_of_jobs(squeue, tmp_path, monkeypatch):
    squeue("slurm_load_jobs error: Unable to contact slurm controller\n")

    assert look(["12"]) == {}
    assert look([]) == {}
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    assert look(["12"]) == {}


def test_jobs_that_were_not_submitted_yet_have_no_number():
    assert submitted(cluster_of(first="12", second=None)) == {"12": "first"}


@pytest.mark.parametrize("state", ["TIMEOUT", "CANCELLED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "FAILED"])
def test_a_job_that_ended_is_reported_with_its_state(state):
    job = Job(state, "None")

    assert has_ended(job)
    assert sentence_of("12", job).startswith("SLURM job 12: must run until the flow ends, but ")
    assert state in sentence_of("12", job)


class Planned:
    """A pool of one job that always fails, and is always followed by another one."""

    def __init__(self):
        self.submitted = 0
        self.scale_down([])

    def scale_down(self, _names):
        self.submitted += 1
        self.worker_spec = self.workers = {self.submitted: SimpleNamespace(job_id=self.submitted)}

    def sync(self, function, *arguments):
        function(*arguments)


def test_jobs_that_fail_one_after_the_other_are_not_submitted_for_ever(caplog, monkeypatch):
    over, cluster = threading.Event(), Planned()
    looks = iter(range(30))
    monkeypatch.setattr(over, "wait", lambda _: next(looks, None) is None)
    monkeypatch.setattr(queue, "look", lambda numbers: {number: Job("FAILED", "NonZeroExitCode") for number in numbers})

    with caplog.at_level(logging.WARNING, "lidcflow"):
        Watch(cluster, logging.getLogger("lidcflow")).until(over)

    assert cluster.submitted == queue.MOST_FAILED + 1
    assert len(caplog.messages) == queue.MOST_FAILED + 1
    assert "no other job takes its place" in caplog.messages[-1]


def test_a_wait_is_reported_once_for_each_reason_and_never_while_a_job_runs(caplog, monkeypatch):
    monkeypatch.setattr(queue, "WAIT_REPORTED_AFTER_S", 0)
    watch = Watch(cluster_of(), logging.getLogger("lidcflow"))
    waiting = {"12": Job("PENDING", "Priority"), "13": Job("PENDING", "Resources")}

    with caplog.at_level(logging.WARNING, "lidcflow"):
        watch.report_wait({**waiting, "14": Job("RUNNING", "None")})
        watch.report_wait(waiting)
        watch.report_wait(waiting)

    (sentence,) = caplog.messages
    assert sentence.startswith("SLURM jobs 12, 13: wait for a node")
    assert "the reason Priority; Resources" in sentence
