"""Jobs of a SLURM queue: each that ends before its flow is reported and replaced, and so is a wait for a node."""

from __future__ import annotations

import logging
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from distributed import SpecCluster
from distributed.deploy import Cluster as DaskCluster

from tasks.progress import notice

Log = logging.Logger | logging.LoggerAdapter[Any]

LOOK_EVERY_S = 10.0
"""Each look is one `squeue` for all jobs of the pool, a load that SLURM's manual permits."""

WAIT_REPORTED_AFTER_S = 15.0

MOST_FAILED = 10
"""Jobs of a pool that may fail by themselves: where none can start, each would be followed by another one."""

WAITING = "PENDING"
RUNNING = frozenset({"RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "STOPPED", "RESIZING", "SIGNALING"})
ENDS: Mapping[str, tuple[str, str]] = {
    "TIMEOUT": ("reached its time limit", "walltime in cluster.arguments sets the limit"),
    "CANCELLED": ("was cancelled", "`scancel` or an administrator ended it"),
    "NODE_FAIL": ("lost its node", "`sinfo` shows the state of nodes"),
    "OUT_OF_MEMORY": ("outgrew its memory", "memory in cluster.arguments sets the limit"),
    "PREEMPTED": ("was preempted", "another queue in cluster.arguments may not preempt"),
}
"""State in which SLURM reports a job -> what happened to it, and where a user can act."""


class Job(NamedTuple):
    """A job as SLURM reports it."""

    state: str
    reason: str


@contextmanager
def watching(cluster: DaskCluster, log: Log) -> Iterator[None]:
    """Watch a cluster's SLURM jobs while the block runs; a cluster of another kind is left alone."""
    if not isinstance(cluster, SpecCluster) or not _is_slurm(cluster):
        yield
        return
    over, watch = threading.Event(), Watch(cluster, log)
    thread = threading.Thread(target=watch.until, args=(over,), name="lidcflow-slurm", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class Watch:
    """Looks at the jobs of one pool, and reports each end and each reason to wait once."""

    def __init__(self, cluster: SpecCluster, log: Log) -> None:
        self._cluster, self._log = cluster, log
        self._reported: set[str] = set()
        self._failed = 0
        self._ran_s = time.monotonic()

    def until(self, over: threading.Event) -> None:
        """Look every few seconds until the event is set."""
        while not over.wait(LOOK_EVERY_S):
            numbers = submitted(self._cluster)
            found = look(list(numbers))
            for number, job in found.items():
                # The cluster itself may have cancelled a job since: then it no longer plans with it.
                is_lost = has_ended(job) and numbers[number] in self._cluster.worker_spec
                if is_lost and number not in self._reported and not over.is_set():
                    self._replace(number, job, numbers[number])
            self.report_wait(found)

    def _replace(self, number: str, job: Job, name: Any) -> None:
        """Remove a job that has ended from the plan: adaptive scaling then submits another one."""
        self._reported.add(number)
        self._failed += job.state not in ENDS
        if self._failed > MOST_FAILED:
            self._report(failed_sentence(number, job))
            return
        self._report(sentence_of(number, job))
        self._cluster.sync(self._cluster.scale_down, [name])

    def report_wait(self, found: Mapping[str, Job]) -> None:
        """Report that all jobs wait, once they have for a while; each reason once."""
        waiting = {number: job for number, job in found.items() if job.state == WAITING}
        if not waiting or len(waiting) < len(found):
            self._ran_s = time.monotonic()
        elif time.monotonic() - self._ran_s >= WAIT_REPORTED_AFTER_S:
            reasons = "; ".join(sorted({job.reason for job in waiting.values()}))
            if reasons not in self._reported:
                self._reported.add(reasons)
                self._report(wait_sentence(list(waiting), reasons))

    def _report(self, sentence: str) -> None:
        self._log.warning(sentence)
        notice(sentence)


def submitted(cluster: SpecCluster) -> dict[str, Any]:
    """Return the numbers of a cluster's jobs, each with the name by which the cluster plans with it."""
    jobs = [(name, getattr(job, "job_id", None)) for name, job in list(cluster.workers.items())]
    return {str(number): name for name, number in jobs if number is not None}


def look(numbers: list[str]) -> dict[str, Job]:
    """Return the state of jobs that SLURM knows; none if it does not answer."""
    if not numbers:
        return {}
    asked = ["squeue", "--noheader", "--states=all", f"--jobs={','.join(numbers)}", "--format=%i|%T|%r"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return {}
    rows = [line.strip().split("|", 2) for line in said.splitlines()]
    return {row[0]: Job(row[1], row[2]) for row in rows if len(row) == 3}


def has_ended(job: Job) -> bool:
    """Return whether a job does not run any more, and will not.

    Examples
    --------
    >>> has_ended(Job("TIMEOUT", "TimeLimit")), has_ended(Job("PENDING", "Resources"))
    (True, False)
    """
    return job.state != WAITING and job.state not in RUNNING


def sentence_of(number: str, job: Job) -> str:
    """Describe the end of a job, what becomes of its work, and where to act.

    Examples
    --------
    >>> print(sentence_of("12", Job("TIMEOUT", "TimeLimit")))
    SLURM job 12: must run until the flow ends, but reached its time limit (TIMEOUT); another job takes its place and \
repeats what was unfinished; walltime in cluster.arguments sets the limit
    """
    what, remedy = ENDS.get(job.state, (f"ended as {job.state}", "its own log gives the reason"))
    state = f" ({job.state})" if job.state in ENDS else ""
    return (
        f"SLURM job {number}: must run until the flow ends, but {what}{state}; another job takes its place and "
        f"repeats what was unfinished; {remedy}"
    )


def failed_sentence(number: str, job: Job) -> str:
    """Describe why a job that failed is not followed by another one.

    Examples
    --------
    >>> print(failed_sentence("12", Job("FAILED", "NonZeroExitCode")))
    SLURM job 12: must run until the flow ends, but ended as FAILED, as 10 jobs of this flow did before; no other job \
takes its place; its own log gives the reason
    """
    return (
        f"SLURM job {number}: must run until the flow ends, but ended as {job.state}, as {MOST_FAILED} jobs of this "
        "flow did before; no other job takes its place; its own log gives the reason"
    )


def wait_sentence(numbers: list[str], reasons: str) -> str:
    """Describe why no job of a pool runs.

    Examples
    --------
    >>> print(wait_sentence(["12", "13"], "Resources"))
    SLURM jobs 12, 13: wait for a node, none of this flow runs; SLURM gives the reason Resources; the flow continues \
when one starts, and `squeue` shows them
    """
    return (
        f"SLURM jobs {', '.join(numbers)}: wait for a node, none of this flow runs; SLURM gives the reason {reasons}; "
        "the flow continues when one starts, and `squeue` shows them"
    )


def _is_slurm(cluster: SpecCluster) -> bool:
    return getattr(getattr(cluster, "job_cls", None), "submit_command", None) == "sbatch"
